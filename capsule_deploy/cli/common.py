"""What the commands have in common: ``--root`` and ``--json``, how they end, what they say on the way."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from capsule_builder.cli import report
from capsule_builder.cli.options import some
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown
from capsule_deploy import exits
from capsule_deploy.layout import Layout

if TYPE_CHECKING:
    from typing import TextIO

EXIT_STATUS = """\
exit status: 0 done; 1 a defect or the system; 2 wrong usage; 3 not signed by whom this host trusts; 4 not a capsule,
or a damaged one; 5 the host's policy is against it; 6 no room; 7 another command is at work; 8 no such release;
9 not healthy; 10 the host is not set up for it.
"""

# By the class's name: to import the classes here would take longer than most commands.
_STATUS = {
    "TrustError": exits.TRUST,
    "UnsignedError": exits.TRUST,
    "SignatureError": exits.TRUST,
    "PolicyError": exits.POLICY,
    "SpaceError": exits.SPACE,
    "BusyError": exits.BUSY,
    "MissingError": exits.MISSING,
    "DamagedError": exits.FORMAT,
    "UnhealthyError": exits.UNHEALTHY,
    "HostError": exits.HOST,
    "UnpackError": exits.INTERNAL,
}
_STATUS_OF_CODE = {
    "archive-missing": exits.USAGE,
    "archive-special": exits.USAGE,
    "file-special": exits.USAGE,
    "archive-size": exits.POLICY,
    "root-outside": exits.HOST,
}
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_UMASK = 0o022  # services have to reach what is made, and nobody else may write it


class Failure:
    """Turns what stops a command into problems and an exit status: nothing, as long as ``status`` is 0."""

    def __init__(self) -> None:
        self.status: int = exits.OK
        self.problems: list[Problem] = []

    def __enter__(self) -> Failure:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if isinstance(error, CapsuleError):
            self.problems += error.problems
            self.status = status_of(error)
        elif isinstance(error, OSError):
            self._system(error)
        elif isinstance(error, MemoryError):
            self._system(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)))
        return self.status != exits.OK

    def tell(self, *, as_json: bool) -> int:
        """Prints the problems, and with ``as_json`` the object that stands for them; gives the exit status."""
        report.finish()
        report.errors(self.problems)
        if as_json:
            errors = [
                {"code": problem.code, "message": problem.message, "remedy": problem.remedy}
                for problem in self.problems
            ]
            report.result(json.dumps({"status": self.status, "errors": errors}), done=False)
        return self.status

    def _system(self, failed: OSError) -> None:
        reason = failed.strerror or str(failed)
        where = f": {shown(os.fsdecode(failed.filename))}" if failed.filename else ""
        remedy = "Mend that, and try again; it is safe to repeat."
        if failed.errno in _FORBIDDEN and os.geteuid() != 0:
            remedy = "Call it as root."
        problem = Problem("system", f"{reason}{where}", remedy)
        self.problems.append(problem)
        self.status = exits.INTERNAL
        if failed.errno in _NO_SPACE:
            self.status = exits.SPACE


def failures() -> Failure:
    """What a command's work is done in."""
    return Failure()


def status_of(refused: CapsuleError) -> int:
    """The exit status for a refusal."""
    for kind in type(refused).__mro__:
        if kind.__name__ in _STATUS:
            return _STATUS[kind.__name__]
    return _STATUS_OF_CODE.get(refused.problems[0].code, exits.FORMAT)


class _Parser(argparse.ArgumentParser):
    """One that notices when nobody can take its help."""

    def print_help(self, file: object = None) -> None:  # noqa: ARG002 (argparse gives none)
        """Prints it; ends the command when that cannot be done."""
        if not report.result(self.format_help().rstrip("\n"), done=False):
            raise SystemExit(exits.INTERNAL)


def parser(command: str, description: str, examples: str) -> argparse.ArgumentParser:
    """A parser with the options that all commands have; ``examples`` are lines of commands."""
    made = _Parser(
        prog=f"capsdeploy {command}",
        description=description,
        epilog=f"examples:\n{examples}\n{EXIT_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    where = "the host's tree, when it is not this host's (images, tests)"
    made.add_argument("--root", metavar="DIR", type=some, default="/", help=where)
    made.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return made


def layout_of(arguments: argparse.Namespace) -> Layout:
    """The host that is meant.

    Raises:
        CapsuleError: there is no such directory, or a link in it leads to what is this host's own.
    """
    if not os.path.isdir(arguments.root):
        raise CapsuleError(
            [Problem("file-special", f"Not a directory: {shown(arguments.root)}", "Name a host's tree.")]
        )
    if os.path.samefile(arguments.root, "/"):  # by whatever name
        return Layout()
    layout = Layout(arguments.root)
    whole = os.path.join(os.path.realpath(layout.root), "")
    places = (layout.tori, layout.state, layout.apps, layout.trust, layout.policy, layout.units, layout.sysusers)
    if outside := [place for place in places if not os.path.realpath(place).startswith(whole)]:
        outside = [place for place in outside if not place.startswith(os.path.join(outside[0], ""))]
        remedy = "Have links in that tree lead to places in it, as `../srv/tori` does."
        raise CapsuleError(
            [Problem("root-outside", f"Leads out of the host's tree: {shown(place)}", remedy) for place in outside]
        )
    return layout


def run(argv: Sequence[str], made: argparse.ArgumentParser, work: Callable[[argparse.Namespace], int]) -> int:
    """Parses and calls ``work(arguments)``, which gives the exit status; requests to stop end it tidily."""
    os.umask(_UMASK)
    try:
        report.prepare()
        arguments = made.parse_args(argv)
        return work(arguments)
    except report.Stopped as stopped:
        report.error(Problem("stopped", "Stopped before it was done.", "It is safe to repeat."))
        os._exit(stopped.code)  # whatever its threads are about


class Line:
    """A line on a terminal that says how far things are; nothing anywhere else, or in the first second."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._watched = self._stream.isatty()
        self._since = self._last = time.monotonic()
        self._width = 0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Says ``what`` is going on, with bytes or files that are done."""
        now = time.monotonic()
        if not self._watched or now - self._since < 1 or now - self._last < 0.1:
            return
        self._last = now
        share = f" {100 * done // total}%" if total else ""
        text = f"{what}{share}"
        self._write("\r" + text.ljust(self._width))
        self._width = len(text)

    def clear(self) -> None:
        """Takes the line away."""
        if self._width:
            self._write("\r" + " " * self._width + "\r")
            self._width = 0

    def _write(self, text: str) -> None:
        try:
            os.write(self._stream.fileno(), text.encode("ascii", "backslashreplace"))  # which keeps nothing for later
        except OSError:  # the terminal is gone, and the work goes on
            self._watched = False
