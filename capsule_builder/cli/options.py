"""The options that say what goes into a capsule, and how: of ``capsbuild``, and of ``capsbuild reproduce``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from capsule_builder.archive.effort import DEFAULT_LEVEL, MAX_JOBS, MAX_LEVEL, MIN_LEVEL, default_jobs
from capsule_builder.building.request import DEFAULT_PLATFORM, PythonOptions, Source, Wish

if TYPE_CHECKING:
    import argparse
    from types import SimpleNamespace

    Arguments = argparse.Namespace | SimpleNamespace


def add_build_options(parser: argparse.ArgumentParser, *, level: int | None = DEFAULT_LEVEL) -> None:
    """Adds them; :func:`check_build_options`, :func:`source_of` and :func:`python_of` take what comes of it.

    ``level`` is the level of compression unless one is given; None is that of the capsule that is built again.
    """
    default = "the capsule's" if level is None else level
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--from-dir", metavar="DIR", help="the application; .capsuleignore files in it leave things out"
    )
    source.add_argument(
        "--from-zip", metavar="FILE", type=some, help="the application as a ZIP, read in place, under the same rules"
    )
    parser.add_argument(
        "--strip-components",
        metavar="N",
        type=_number(0, 100),
        default=0,
        help="take N leading parts off every name in the ZIP, as tar does",
    )
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        type=some,
        help="its manifest, included as capsule.yml (default: capsule.yml of the application)",
    )
    add_jobs(parser, "threads or processes that share the work (default: one a core); the bytes stay the same")
    parser.add_argument(
        "--compression-level",
        metavar="N",
        type=_number(MIN_LEVEL, MAX_LEVEL),
        default=level,
        help=f"{MIN_LEVEL} (fast) to {MAX_LEVEL} (small), default {default}; the ID stays the same",
    )
    python = parser.add_argument_group(
        "Python environment", "A finished environment at venv/ of the application is taken without being asked for."
    )
    environment = python.add_mutually_exclusive_group()
    environment.add_argument(
        "--wheels", metavar="DIR", type=some, help="make venv/ from the wheels in DIR that the requirements ask for"
    )
    environment.add_argument(
        "--venv", metavar="DIR", type=some, help="make venv/ from the finished virtual environment in DIR"
    )
    python.add_argument(
        "--requirements",
        metavar="FILE",
        type=some,
        help="what the environment must satisfy, beside the manifest's dependencies.pip_requirements",
    )
    python.add_argument(
        "--no-verify-requirements",
        action="store_true",
        help="build even if requirements are not met; the metadata say so",
    )
    python.add_argument(
        "--platform",
        metavar="TAG",
        type=some,
        default=DEFAULT_PLATFORM,
        help=f"the hosts' platform, as pip names it (default: {DEFAULT_PLATFORM})",
    )
    python.add_argument(
        "--interpreter",
        metavar="DIR",
        type=some,
        help="bundle the relocatable Python in DIR; the host needs none",
    )
    python.add_argument(
        "--bytecode",
        choices=["none", "unchecked-hash"],
        default="none",
        help="compile the environment, for a faster start (default: none)",
    )
    python.add_argument(
        "--bytecode-python",
        metavar="EXE",
        type=some,
        help="the interpreter that compiles (default: this one if it is of the right version, or python3.X on PATH)",
    )


def add_jobs(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds ``--jobs``, a number of ``what``."""
    parser.add_argument("--jobs", metavar="N", type=_number(1, MAX_JOBS), default=default_jobs(), help=what)


def check_build_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Ends the process, as ``parser`` does, when options do not go together."""
    if arguments.strip_components and not arguments.from_zip:
        parser.error("--strip-components goes with --from-zip")
    if arguments.bytecode_python and arguments.bytecode == "none":
        parser.error("--bytecode-python goes with --bytecode unchecked-hash")


def source_of(arguments: Arguments) -> Source:
    """Where the application lies."""
    return Source(arguments.from_dir or arguments.from_zip, bool(arguments.from_zip), arguments.strip_components)


def python_of(arguments: Arguments) -> PythonOptions:
    """How its Python environment is made."""
    return PythonOptions(
        wish=Wish(
            wheels=arguments.wheels,
            venv=arguments.venv,
            requirements=arguments.requirements,
            platform=arguments.platform,
            verify=not arguments.no_verify_requirements,
        ),
        interpreter=arguments.interpreter,
        bytecode=arguments.bytecode == "unchecked-hash",
        compiler=arguments.bytecode_python,
    )


def some(text: str) -> str:
    """A text that is not empty, for argparse: an empty one is a variable that somebody forgot to set."""
    if not text:
        import argparse

        raise argparse.ArgumentTypeError("the name is empty")
    return text


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            import argparse

            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return parse
