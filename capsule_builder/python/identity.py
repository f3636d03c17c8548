"""Which Python a finished environment is of, and whether it is an environment for a capsule at all."""

from __future__ import annotations

import re
from collections.abc import Mapping

from capsule_builder.errors import Problem
from capsule_builder.python import venv_config
from capsule_builder.python.tree import VenvTree
from capsule_builder.python.venv_config import Value

_LIBRARY = re.compile(r"(?:lib|lib64)/(python|pypy|graalpy)([0-9]+\.[0-9]+)(t?)/")
_PROGRAM = re.compile(r"bin/(python|pypy|graalpy)([0-9]+\.[0-9]+)(t?)$")
_WINDOWS = re.compile(r"Scripts/(python.*\.exe|activate.*)$|Lib/site-packages/")


def identify(tree: VenvTree, config: Mapping[str, Value], wanted: str | None) -> tuple[str | None, list[Problem]]:
    """The minor version of the environment's Python ("3.11"), and everything that speaks against it.

    ``wanted`` is the version that the manifest names. The version is None when the environment is of a kind that cannot
    be looked into any further.
    """
    problems = venv_config.problems(config, tree.label)
    names = [*tree.files, *tree.links]
    found = {match.groups() for name in names if (match := _LIBRARY.match(name) or _PROGRAM.match(name))}

    def refuse(code: str, what: str, remedy: str) -> None:
        problems.append(Problem(code, f"{tree.label}: {what}", remedy))

    foreign = False
    if any(name.startswith("conda-meta/") for name in names):
        foreign = True
        remedy = "Make a virtual environment with the same packages: conda's hold the place they are installed at."
        refuse("venv-conda", "is an environment of conda", remedy)
    if any(_WINDOWS.match(name) for name in names):
        foreign = True
        refuse("venv-windows", "is an environment for Windows", "Make it on Linux, where the capsule runs.")
    if others := sorted({kind for kind, _, _ in found} - {"python"}):
        foreign = True
        refuse("venv-implementation", f"is an environment of {', '.join(others)}", "Make it anew with CPython.")
    if any(threads for _, _, threads in found):
        foreign = True
        remedy = "Make it anew with the ordinary CPython of that version."
        refuse("venv-implementation", "is an environment of a free-threaded Python", remedy)

    stated = venv_config.minor_version(config)
    versions = sorted({version for _, version, _ in found} | ({stated} if stated else set()))
    if foreign:
        return None, problems
    if not versions:
        remedy = "Name the directory that pyvenv.cfg lies in."
        refuse("venv-none", "is no virtual environment: there is no lib/python3.X in it", remedy)
        return None, problems
    if len(versions) > 1:
        remedy = "Remove the environment, and make it anew with one of them."
        refuse("venv-two-pythons", f"is of more than one Python: {', '.join(versions)}", remedy)
    elif wanted and versions != [wanted]:
        remedy = "Make it anew with that Python, or ask for its own (dependencies.python in the manifest)."
        refuse("venv-python", f"is of Python {versions[0]}, and {wanted} is asked for", remedy)
    return wanted if wanted in versions else versions[-1], problems
