"""The arguments of a process, as they are in a capsule."""

from __future__ import annotations

import posixpath
import re

from capsule_builder.manifest.unit_text import UNIT_TEXT
from capsule_builder.paths import UNDECODABLE, shown
from capsule_deploy.migrate.confidential import Redactor, is_secret, is_secret_value
from capsule_deploy.migrate.launch.servers import CHANGES_DIRECTORY
from capsule_deploy.migrate.model import Findings, Process
from capsule_deploy.migrate.places import Places


class Arguments:
    """Rewrites arguments; what became of them is told."""

    def __init__(self, places: Places, findings: Findings, redactor: Redactor) -> None:
        self._places = places
        self._findings = findings
        self._redactor = redactor

    def from_root(self, words: list[str], process: Process, server: str, *, plain_script: bool) -> list[str]:
        """The arguments as they are from the capsule's root, where every service runs."""
        folder = self._places.relative(process.cwd) if process.cwd else None
        if not folder:
            return words
        words = [self._file_from_root(word, folder) for word in words]
        option = CHANGES_DIRECTORY.get(server)
        if option and not any(word.partition("=")[0] == option for word in words):
            message = f"It ran in {folder}; now it runs in the root of the release, and is told by {option}."
            self._findings.changed("working-directory", process.name, message, "", process.origin)
            return [option, folder, *words]
        if not option:
            message = f"It ran in {folder}; now it runs in the root of the release, which is read-only."
            also = "" if plain_script else " Modules there are not found."
            remedy = "Let it find its files by its own place (__file__), or name them by an environment variable."
            self._findings.left("working-directory", process.name, message + also, remedy, process.origin)
        return words

    def _file_from_root(self, word: str, folder: str) -> str:
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        if not value or value.startswith(("/", "-")) or ":" in value:
            return word
        inner = posixpath.normpath(posixpath.join(folder, value))
        if not inner.startswith("..") and self._places.is_file(self._places.in_tree(inner)):
            return f"{option}{equals}{inner}"
        return word

    def kept(self, words: list[str], process: Process) -> tuple[str, ...]:
        """The arguments that a manifest can have, with their paths as a capsule has them; the others are told."""
        kept: list[str] = []
        for word in words:
            option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
            before = kept[-1] if kept and kept[-1].startswith("-") and "=" not in kept[-1] else ""
            if option and not equals and self._is_secret_with_a_dash(before, word):
                option, value = "", word
            name = (option or before).lstrip("-")
            secret = (name and is_secret(name, value)) or is_secret_value(value) or self._redactor.holds(word)
            if value and secret:
                self._redactor.learn(value)
                if before and not option:
                    kept.pop()
                message = "A secret among the arguments; everybody who has the capsule could read it. It is left out."
                remedy = "Let the application read it from a file that the host's policy provides."
                self._findings.left("secret-argument", name or process.name, message, remedy, process.origin)
                continue
            new = self._places.rewrite(word)
            complaint = UNIT_TEXT.complaint(new)
            if complaint or UNDECODABLE.search(new):
                if before and not option:
                    kept.pop()
                reason = complaint.message if complaint else "is not UTF-8"
                message = f"The argument {shown(before)} {shown(word)} is left out: it {reason}."
                remedy = "Keep the setting in a file of the capsule, such as the server's own configuration."
                self._findings.left("argument", name or process.name, " ".join(message.split()), remedy, process.origin)
                continue
            if new != word:
                message = f"{shown(word)} is {shown(new)} now."
                self._findings.changed("path", process.name, message, "", process.origin)
            kept.append(new)
        return tuple(kept)

    def _is_secret_with_a_dash(self, before: str, word: str) -> bool:
        """Whether a word that begins like an option is a secret, such as that of the option ``before`` it."""
        like_option = re.match("--?[A-Za-z]", word)
        return self._redactor.holds(word) or bool(is_secret(before.lstrip("-"), word) and not like_option)
