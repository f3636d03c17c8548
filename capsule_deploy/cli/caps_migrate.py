"""The command ``caps_migrate``: from a service that was set up by hand to a manifest, an ignore file and a report."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Sequence

from capsule_builder import __version__
from capsule_builder.cli import report
from capsule_builder.errors import CapsuleError, Problem
from capsule_builder.paths import shown
from capsule_deploy import exits

OUTPUT = "migrated"

_DESCRIPTION = """\
Turn a service that was set up by hand into a manifest (capsule.yml), a .capsuleignore, and a report of what was carried
over, what was not, and why: a systemd unit with its drop-ins and environment files, programs of supervisor, a crontab
with @reboot, or a script. The original is read, never changed, and nothing of it is run.
"""

_EPILOG = """\
examples:
  caps_migrate /srv/shop
  caps_migrate /srv/shop --unit /etc/systemd/system/shop.service --unit /etc/systemd/system/shop-worker.service
  caps_migrate checkout --unit checkout/deploy/shop.service --output /tmp/shop
  caps_migrate old/srv/shop --root old

exit status:
  0  the files were written
  1  the system failed, or a defect of caps_migrate
  2  wrong usage; the output lies inside the original, or is there already
  4  what starts the service cannot be read, or nothing of it can run from a capsule
  6  no room on the disk
  8  the directory is not there, or nothing in it starts a service
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    try:
        report.prepare()
        return _run(_parser().parse_args(argv))
    except report.Stopped as stopped:
        report.leave(stopped)


def _run(options: argparse.Namespace) -> int:
    from capsule_deploy.migrate.migration import Migration, migrate
    from capsule_deploy.migrate.reading import AbsentError
    from capsule_deploy.migrate.writing import OutputError, check_output, write_all

    names = ["capsule.yml", ".capsuleignore", "migration.md", "migration.json"]
    done: Migration | None = None
    status, problems = exits.INTERNAL, list[Problem]()
    try:
        if os.path.isdir(options.directory):
            copy = [options.root] if os.path.isdir(options.root) and os.path.realpath(options.root) != "/" else []
            check_output(options.output, [options.directory, *copy], names)
        done = migrate(options.directory, options.unit, options.root, options.output)
        write_all(options.output, done.files)
    except OutputError as refused:
        status, problems = exits.USAGE, [*refused.problems]
    except AbsentError as refused:
        status, problems = exits.MISSING, [*refused.problems]
    except CapsuleError as refused:
        status, problems = exits.FORMAT, [*refused.problems]
    except (OSError, ValueError) as failed:
        status, problems = _system(failed)
    if problems or done is None:
        if options.json:
            failure = [{"code": problem.code, "message": str(problem)} for problem in problems]
            report.result(json.dumps({"errors": failure}), done=False)
        report.errors(problems)
        return status
    if options.json:
        told = report.result(json.dumps(done.document))
    else:
        told = report.result(*_summary(done.document, options.output, names))
    return exits.OK if told else exits.INTERNAL


def _system(failed: OSError | ValueError) -> tuple[int, list[Problem]]:
    if isinstance(failed, OSError):
        reason = failed.strerror or str(failed)
        where = f" ({shown(os.fsdecode(failed.filename))})" if failed.filename else ""
        status = exits.SPACE if failed.errno in (errno.ENOSPC, errno.EDQUOT) else exits.INTERNAL
    else:
        reason, where, status = str(failed), "", exits.USAGE  # a name with a NUL in it
    return status, [Problem("system", f"Cannot migrate: {reason}{where}", "Nothing was written.")]


def _summary(document: dict[str, object], output: str, names: Sequence[str]) -> list[str]:
    counts = document["counts"]
    assert isinstance(counts, dict)  # noqa: S101
    name = document["name"]
    told = f"{counts['carried']} carried over, {counts['changed']} in another form"
    return [
        f"{name} ({document['layout']}): {told}, {counts['left']} not carried over, {counts['suggested']} to decide",
        *(f"  {shown(os.path.join(output, name))}" for name in names),
        f"Read {shown(os.path.join(output, names[2]))} first.",
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="caps_migrate",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("directory", metavar="DIR", help="the application's directory")
    parser.add_argument(
        "--unit",
        metavar="FILE",
        action="append",
        default=[],
        help="what starts the service; may be given several times (default: what is found in DIR, or on the host)",
    )
    parser.add_argument(
        "--output", metavar="DIR", default=OUTPUT, help=f"where to write the four files (default: {OUTPUT})"
    )
    parser.add_argument("--root", metavar="DIR", default="/", help="the old host's file system (default: /)")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
