"""Writes ``capsule.yml`` and ``.capsuleignore`` out of what was found."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from capsule_builder.errors import CapsuleError
from capsule_builder.manifest import check
from capsule_builder.manifest.plain_scalars import reading
from capsule_builder.manifest.quantities import CPU_QUOTA, MEMORY, size_in_bytes
from capsule_builder.paths import MANIFEST_NAME
from capsule_deploy.migrate.launch.launch import Launch
from capsule_deploy.migrate.model import Findings, Variable

_MAX_TASKS = 4194304


@dataclass
class Draft:
    """A manifest in the making; ``launches`` have their final names."""

    name: str
    version: str
    launches: Sequence[Launch]
    python: str | None = None
    pip_requirements: str | None = None
    resources: dict[str, str | int] = field(default_factory=dict)
    sources: Sequence[str] = ()
    needs_python: bool = False


def manifest_text(draft: Draft) -> bytes:
    """The manifest, which ``caps_validate`` accepts.

    Raises:
        CapsuleError: it has more in it than a manifest may have.
    """
    common = _common([launch.env for launch in draft.launches])
    first = draft.launches[0]
    lines = [
        f"# Drafted by caps_migrate from {_comment(', '.join(draft.sources[:5]))}. Read migration.md before you use it."
    ]
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


def resources(launches: Sequence[Launch], findings: Findings) -> dict[str, str | int]:
    """The limits of the release: those of the processes, together.

    A limit that only some of several processes had is none that the release could have.
    """
    found: dict[str, str | int] = {}
    for key in dict.fromkeys(key for launch in launches for key in launch.limits):
        values = [launch.limits[key] for launch in launches if key in launch.limits]
        distinct = list(dict.fromkeys(values))
        origin = values[0].origin
        if len(values) != len(launches):
            message = "Only some of the processes had this limit; the manifest's are for all of a release together."
            findings.left("resources-mixed", f"resources.{key}", message, "Set one for all.", origin)
            continue
        total = _total(key, distinct)
        if isinstance(total, str) and total.startswith("!"):
            findings.left(
                "resource-value", f"resources.{key}", total[1:], "Write it in the manifest's notation.", origin
            )
        elif total is None:
            findings.left(
                "resources-mixed", f"resources.{key}", "The limits cannot be added.", "Set one for all.", origin
            )
        else:
            found[key] = total
            if len(distinct) == 1:
                findings.carried(f"resources.{key}", f"The release together has {total}.", origin)
            else:
                message = f"The release together has {total}, which is the sum."
                findings.changed("resources-sum", f"resources.{key}", message, "", origin)
    return found


def _total(key: str, values: Sequence[Variable]) -> str | int | None:
    """The sum of limits in the manifest's notation; what is wrong with one, after ``!``; None if they do not add up."""
    texts = [variable.value for variable in values]
    if key in ("tasks_max", "io_weight"):
        highest = _MAX_TASKS if key == "tasks_max" else 10000
        for text in texts:
            if not re.fullmatch("[0-9]{1,7}", text) or not 1 <= int(text) <= highest:
                return f"!{text} is not a whole number from 1 to {highest}"
        return min(sum(map(int, texts)), highest) if key == "tasks_max" else max(map(int, texts))
    rule = CPU_QUOTA if key == "cpu_quota" else MEMORY
    for text in texts:
        if complaint := rule.complaint(text):
            return f"!{complaint.message}"
    if len(texts) == 1:
        return texts[0]
    if key == "cpu_quota":
        share = f"{sum(float(text[:-1]) for text in texts):.2f}".rstrip("0").rstrip(".") + "%"
        return share if CPU_QUOTA.complaint(share) is None else None
    sizes = [size_in_bytes(text) for text in texts]
    whole = sum(int(size) for size in sizes if size is not None)
    return str(whole) if None not in sizes and MEMORY.complaint(str(whole)) is None else None


def pattern_of(path: str) -> str:
    """A pattern that matches one path from the top and nothing else."""
    escaped = re.sub(r"([\\*?\[])", r"\\\1", path)
    escaped = re.sub("[\x00-\x1f\x7f]", "?", escaped)
    if escaped.endswith(" "):
        escaped = f"{escaped[:-1]}\\ "
    return f"/{escaped}"


def ignore_text(entries: Mapping[str, str], kept: bytes, protected: Iterable[str]) -> tuple[bytes, list[str]]:
    """The ignore file, and those of ``entries`` that were not written as a path in ``protected`` would go with them.

    ``entries`` are paths that begin with ``/`` (a directory ends with one), or patterns, each with its reason; ``kept``
    is what the directory's own ignore file has.
    """
    paths = set(protected)
    spared: list[str] = []
    by_reason: dict[str, list[str]] = {}
    for entry, reason in entries.items():
        inner = entry.strip("/")
        if entry.startswith("/") and any(path == inner or path.startswith(f"{inner}/") for path in paths):
            spared.append(inner)
            continue
        line = entry
        if entry.startswith("/"):
            line = pattern_of(inner) + ("/" if entry.endswith("/") else "")
        elif any(_matches(entry, posixpath.basename(path)) for path in paths):
            spared.append(entry)
            continue
        by_reason.setdefault(reason, []).append(line)
    parts = [kept.rstrip(b"\n") + b"\n" if kept.strip() else b""]
    parts.append(b"# Drafted by caps_migrate.\n")
    for reason, lines in by_reason.items():
        parts.append(f"\n# {reason}\n".encode())
        parts += [line.encode("utf-8", "surrogateescape") + b"\n" for line in lines]
    return b"".join(parts), spared


def _matches(pattern: str, name: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(name, pattern)
