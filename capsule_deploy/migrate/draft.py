"""Writes ``capsule.yml`` out of what was found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from capsule_builder.errors import CapsuleError
from capsule_builder.manifest import check
from capsule_builder.manifest.plain_scalars import reading
from capsule_builder.paths import MANIFEST_NAME
from capsule_deploy.migrate.launch.launch import Launch
from capsule_deploy.migrate.leaving_out import pattern_of
from capsule_deploy.migrate.sandbox import Sandbox


@dataclass
class Draft:
    """A manifest in the making; ``launches`` have their final names."""

    name: str
    version: str
    launches: Sequence[Launch]
    python: str | None = None
    pip_requirements: str | None = None
    resources: dict[str, str | int] = field(default_factory=dict)
    sandbox: Sandbox = field(default_factory=Sandbox)
    sources: Sequence[str] = ()
    needs_python: bool = False


def manifest_text(draft: Draft) -> bytes:
    """The manifest, which ``caps_validate`` accepts.

    Raises:
        CapsuleError: it has more in it than a manifest may have.
    """
    common = _common([launch.env for launch in draft.launches])
    first = draft.launches[0]
    sources = _comment(", ".join(list(dict.fromkeys(draft.sources))[:5]))
    lines = [f"# Drafted by caps_migrate from {sources}. Read migration.md before you use it."]
    lines += [f"name: {_quoted(draft.name)}", f"version: {_quoted(draft.version)}"]
    lines.append(f"entrypoint: {_quoted(first.entrypoint)}")
    if len(draft.launches) > 1 or first.args:
        lines.append("services:")
        for launch in draft.launches:
            lines += _service(launch, first.entrypoint, common)
    if common:
        lines += ["env:", *(f"  {_quoted(name)}: {_quoted(value)}" for name, value in common.items())]
    if draft.python or draft.pip_requirements:
        lines.append("dependencies:")
        lines += [f"  python: {_quoted(draft.python)}"] if draft.python else []
        lines += [f"  pip_requirements: {_quoted(draft.pip_requirements)}"] if draft.pip_requirements else []
    if draft.resources:
        lines.append("resources:")
        for key, value in draft.resources.items():
            lines.append(f"  {key}: {value if isinstance(value, int) else _quoted(value)}")
    walls = {"allow": draft.sandbox.allow, "deny": draft.sandbox.deny}
    if any(walls.values()):
        lines.append("sandbox:")
        lines += [f"  {key}: [{', '.join(words)}]" for key, words in walls.items() if words]
    patterns = dict.fromkeys(pattern_of(launch.entrypoint) for launch in draft.launches if not launch.executable)
    if patterns:
        lines += ["executables:", *(f"  - {_quoted(pattern)}" for pattern in patterns)]
    data = ("\n".join(lines) + "\n").encode()
    manifest, problems = check(data, MANIFEST_NAME)
    if manifest is None:
        raise CapsuleError(problems)
    return data


def _service(launch: Launch, entrypoint: str, common: Mapping[str, str]) -> list[str]:
    lines = [f"  - name: {_quoted(launch.name)}"]
    if launch.entrypoint != entrypoint:
        lines.append(f"    entrypoint: {_quoted(launch.entrypoint)}")
    if launch.args:
        lines += ["    args:", *(f"      - {_quoted(word)}" for word in launch.args)]
    own = {name: value for name, value in launch.env.items() if common.get(name) != value}
    if own:
        lines += ["    env:", *(f"      {_quoted(name)}: {_quoted(value)}" for name, value in own.items())]
    return lines


def _common(envs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all services have alike."""
    first, *others = envs
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _quoted(text: str) -> str:
    """The text as YAML: plain where it is text to every reader, else in double quotes."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_/-]*(?:\.[a-z]+)?", text) and reading(text) is None:
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text.encode("utf-8", "replace").decode())[:200]
