"""A driver for the real Bazel."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import time
from collections import Counter

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


class Bazel:
    """One workspace, and the Bazel server that serves it."""

    def __init__(self, workspace: pathlib.Path, output_base: pathlib.Path) -> None:
        self.workspace = workspace
        self.output_base = output_base
        self._startup = ["--nohome_rc", "--nosystem_rc", "--max_idle_secs=60", f"--output_base={output_base}"]
        # Debian's own file says where Bazel's installation lies; its Bazel does not start without it.
        if (debian := pathlib.Path("/etc/bazel/bazelrc")).exists():
            self._startup.append(f"--bazelrc={debian}")
        self._log = output_base.parent / "execution.json"
        stubs = subprocess.run(
            ["sh", str(REPOSITORY / "tools/debian/bazelrc.sh")], check=True, capture_output=True, text=True
        )
        self._options = [line.split(" ", 1)[1] for line in stubs.stdout.splitlines() if line.startswith("build ")]
        self._options += ["--color=no", "--curses=no"]

    def run(
        self, command: str, *arguments: str, ok: bool | None = True, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs one command and demands that it succeeds (``ok``), fails (``not ok``), or neither (``None``)."""
        options = [] if command in ("shutdown", "info") else self._options
        result = subprocess.run(
            ["bazel", *self._startup, command, *options, *arguments],
            cwd=self.workspace,
            env={**os.environ, **(env or {})},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        if ok is not None:
            assert (result.returncode == 0) == ok, result.stdout + result.stderr
        return result

    def build(self, *arguments: str) -> str:
        """Builds and gives what Bazel said."""
        result = self.run("build", *arguments)
        return result.stdout + result.stderr

    def refuses(self, *arguments: str) -> str:
        """Builds, demands a failure, and gives what Bazel said."""
        result = self.run("build", *arguments, ok=False)
        return result.stdout + result.stderr

    def output(self, label: str) -> pathlib.Path:
        """The place of an output file, ``package:name``."""
        return self.workspace / "bazel-bin" / label.removeprefix("//").replace(":", "/")

    def listing(self, label: str) -> dict[str, str]:
        """What a layer or a capsule holds: for each path ``file``, ``exec``, ``-> target`` or ``dir``."""
        self.build(label)
        return read_listing(self.output(label + ".contents").read_text())

    def actions(self, *arguments: str) -> Counter[str]:
        """Builds, and counts the actions that ran by their progress messages, from Bazel's own execution log."""
        self.build(f"--execution_log_json_file={self._log}", *arguments)
        decoder, text, found = json.JSONDecoder(), self._log.read_text(), Counter[str]()
        while text := text.lstrip():
            spawn, end = decoder.raw_decode(text)
            text = text[end:]
            found[spawn["progressMessage"]] += 1
        return found


def analysis_seconds(server: Bazel, label: str, round_name: str) -> float:
    """How long Bazel takes to analyse ``label`` and all below it, once loaded; each round has another name."""
    began = time.perf_counter()
    server.build("--nobuild", f"--define=round={round_name}", label)
    return time.perf_counter() - began


def read_listing(text: str) -> dict[str, str]:
    """Reads a ``.capsule_contents`` into one word a path."""
    entries = {}
    for line in text.splitlines():
        if line.startswith("# symlink\t"):
            _, path, target = line.split("\t")
            entries[path] = f"-> {target}"
        elif line.startswith("# dir\t"):
            entries[line.split("\t")[1]] = "dir"
        elif not line.startswith("#"):
            entries[line[66:]] = "exec" if line[65] == "*" else "file"
    return entries
