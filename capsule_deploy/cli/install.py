"""``capsdeploy install``: puts a capsule on the host, whole or not at all."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from capsule_builder.cli import report
from capsule_builder.cli.options import some
from capsule_builder.errors import Problem
from capsule_builder.paths import shown
from capsule_deploy import exits
from capsule_deploy.cli import common
from capsule_deploy.install import Installed, install

_EXAMPLES = """\
  capsdeploy install capsule-alan-c7eb04c6a27c.tar.gz
  capsdeploy install --root /mnt/image capsule-alan-c7eb04c6a27c.tar.gz --json
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    return common.run(argv, _parser(), _run)


def _run(arguments: argparse.Namespace) -> int:
    made: Installed | None = None
    line = common.Line()
    with common.failures() as failure:
        made = install(
            common.layout_of(arguments),
            arguments.file,
            progress=line,
            before_commit=report.finish,
            wait=arguments.wait,
        )
    line.clear()
    if made is None:
        return failure.tell(as_json=arguments.json)
    report.finish()
    receipt = made.release.receipt
    if receipt.signed_by is None:
        report.warning(Problem("unsigned", f"Not signed: {shown(arguments.file)}", "The host's policy takes it so."))
    told = report.result(json.dumps(_document(made))) if arguments.json else report.result(*_lines(made))
    return exits.OK if told else exits.INTERNAL


def _lines(made: Installed) -> list[str]:
    release, receipt = made.release, made.release.receipt
    what = "Capsule installed" if made.fresh else "Capsule was installed before, and is sound"
    lines = [
        f"✅ {what}: {receipt.app} {receipt.version}",
        f"   Release: {release.short}",
        f"   BUILD_SHA: {release.id}",
        f"   Signature: {f'good, by the key {receipt.signed_by}' if receipt.signed_by else 'there is none'}",
    ]
    if made.fresh:
        lines.append(
            f"   Files: {made.new_files:,} written ({made.written / 1e6:.2f} MB), {made.shared_files:,} there already"
        )
    return [*lines, f"   Next: capsdeploy activate {release.short}"]


def _document(made: Installed) -> dict[str, object]:
    receipt = made.release.receipt
    return {
        "id": receipt.id,
        "short_id": made.release.short,
        "app": receipt.app,
        "version": receipt.version,
        "path": made.release.path,
        "fresh": made.fresh,
        "signed_by": receipt.signed_by,
        "files": receipt.files,
        "total_size": receipt.total_size,
        "written_files": made.new_files,
        "written_bytes": made.written,
        "shared_files": made.shared_files,
        "confined_by": list(made.confined),
    }


def _parser() -> argparse.ArgumentParser:
    parser = common.parser(
        "install",
        "Puts the capsule in FILE on the host, once it is known who signed it. It is not started.",
        _EXAMPLES,
    )
    parser.add_argument("file", metavar="FILE", type=some, help="the archive; its signature is FILE.minisig")
    parser.add_argument("--wait", action="store_true", help="when another command is at work, wait until it has ended")
    return parser
