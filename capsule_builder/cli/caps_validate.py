"""The command ``caps_validate``: checks manifests and reports like a compiler."""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from capsule_builder import __version__
from capsule_builder.manifest import ManifestProblem, check
from capsule_builder.manifest.encoding import MAX_BYTES
from capsule_builder.manifest.problems import printable

REPORT_FORMAT = 1
"""The version of the JSON report's shape; it changes when a reader would have to."""

_DESCRIPTION = """\
Check capsule manifests (capsule.yml) and report every problem at once, with its place and its remedy.
"""

_EPILOG = """\
example:
  $ caps_validate capsule.yml
  capsule.yml:12:11: error: dependencies.python: YAML reads 3.10 as the number 3.1; write "3.10"
  capsule.yml:15:14: error: resources.cpu_quota: "80" is not a percentage; write "80%"

exit status:
  0  every file is valid (warnings do not count)
  1  a file has an error, or cannot be read
  2  the command line is wrong

Every key of the manifest is described in docs/manifest.md.
"""


class _CheckedFile(NamedTuple):
    file: str
    problems: tuple[ManifestProblem, ...]

    @property
    def valid(self) -> bool:
        return all(problem.severity != "error" for problem in self.problems)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status."""
    options = _parser().parse_args(argv)
    try:
        checked = [_check_file(file) for file in options.files]
        text = (
            json.dumps(_as_json(checked), indent=2) + "\n" if options.format == "json" else _as_text(checked, options)
        )
        _write(text)
    except BrokenPipeError:
        _abandon_output()  # the reader has seen enough (``| head``)
    except OSError as error:
        _abandon_output()
        print(f"caps_validate: error: cannot write the report: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0 if all(one.valid for one in checked) else 1


def _write(text: str) -> None:
    """Write to standard output; what its encoding lacks becomes an escape, so that every file can be reported on."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout.write(text)
    sys.stdout.flush()


def _abandon_output() -> None:
    """Keeps the interpreter from flushing once more, and failing once more, when it ends."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="caps_validate",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help='a manifest; "-" is standard input')
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="text: one line for each problem (the default); json: one object for programs",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print problems only, nothing for a valid file")
    parser.add_argument(
        "--print-schema", action=_PrintSchema, nargs=0, help="print the manifest's JSON Schema, for editors, and exit"
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


class _PrintSchema(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from capsule_builder.manifest.schema import schema_text

        sys.stdout.write(schema_text())
        parser.exit()


def _check_file(file: str) -> _CheckedFile:
    name = "<stdin>" if file == "-" else file
    try:
        data = _read(file)
    except OSError as error:
        return _CheckedFile(name, (_unreadable(name, error),))
    return _CheckedFile(name, check(data, name)[1])


def _read(file: str) -> bytes:
    """As much of the file as it takes to see that it is too large."""
    if file == "-":
        if sys.stdin is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with open(file, "rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _unreadable(file: str, error: OSError) -> ManifestProblem:
    if isinstance(error, IsADirectoryError):
        inside = str(Path(file, "capsule.yml"))
        return ManifestProblem("cannot-read", "is a directory", f"name the manifest in it: {inside}", file)
    remedy = "check the path" if isinstance(error, FileNotFoundError) else "check that you may read it"
    return ManifestProblem("cannot-read", f"cannot be read: {error.strerror}", remedy, file)


def _as_text(checked: Sequence[_CheckedFile], options: argparse.Namespace) -> str:
    lines: list[str] = []
    for one in checked:
        lines += (f"{problem}\n" for problem in one.problems)
        if one.valid and not options.quiet:
            lines.append(f"{printable(one.file)}: ok\n")
    return "".join(lines)


def _as_json(checked: Sequence[_CheckedFile]) -> dict[str, object]:
    problems = [problem for one in checked for problem in one.problems]
    return {
        "format": REPORT_FORMAT,
        "valid": all(one.valid for one in checked),
        "errors": sum(problem.severity == "error" for problem in problems),
        "warnings": sum(problem.severity == "warning" for problem in problems),
        "files": [
            {
                "file": one.file,
                "valid": one.valid,
                "problems": [
                    {
                        "file": problem.file,
                        "line": problem.line,
                        "column": problem.column,
                        "severity": problem.severity,
                        "code": problem.code,
                        "field": problem.field,
                        "message": problem.message,
                        "remedy": problem.remedy,
                    }
                    for problem in one.problems
                ],
            }
            for one in checked
        ],
    }


if __name__ == "__main__":
    raise SystemExit(main())
