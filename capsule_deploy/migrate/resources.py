"""The limits of a release, out of those that the old processes had."""

from __future__ import annotations

import re
from collections.abc import Sequence

from capsule_builder.manifest.quantities import CPU_QUOTA, MEMORY, size_in_bytes
from capsule_deploy.migrate.launch.launch import Launch
from capsule_deploy.migrate.model import Findings, Variable

_MAX_TASKS = 4194304


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
