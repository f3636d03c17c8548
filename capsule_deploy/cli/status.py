"""``capsdeploy status``: what each application runs, and how it is."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence

from capsule_builder.cli import report
from capsule_deploy import exits
from capsule_deploy.cli import activating, common
from capsule_deploy.layout import SHORT
from capsule_deploy.recover import applications, the_application
from capsule_deploy.status import Status, status

_EXAMPLES = """\
  capsdeploy status
  capsdeploy status alan --json
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command with ``argv``; gives the exit status."""
    what = "Tells what each application runs, and how it is: exit status 9 when something of it does not run."
    parser = common.parser("status", what, _EXAMPLES)
    parser.add_argument("app", metavar="APP", nargs="?", type=activating.name, help="one application")
    return common.run(argv, parser, _run)


def _run(arguments: argparse.Namespace) -> int:
    found: list[Status] = []
    with common.failures() as failure:
        layout = common.layout_of(arguments)
        apps = [the_application(layout, arguments.app)] if arguments.app else applications(layout)
        found = [status(layout, app) for app in apps]
    if failure.status:
        return failure.tell(as_json=arguments.json)
    report.finish()
    if arguments.json:
        told = report.result(json.dumps({"applications": [_document(one) for one in found]}), done=False)
    else:
        lines = [line for one in found for line in _lines(one)] or ["No applications."]
        told = report.result(*lines, done=False)
    if not told:
        return exits.INTERNAL
    return exits.OK if all(one.up for one in found) else exits.UNHEALTHY


def _lines(one: Status) -> Iterator[str]:
    release = one.release
    if release is None:
        yield f"❌ {one.app}: {one.damage}" if one.damage else f"⚪ {one.app}: no active release"
    else:
        mark = "✅" if one.up else "❌"
        yield f"{mark} {one.app} {release.receipt.version} (capsule {release.short})"
        yield f"   BUILD_SHA: {release.id}"
        signed = release.receipt.signed_by
        yield f"   Signature: {f'good when it was installed, by the key {signed}' if signed else 'there is none'}"
        for unit, state in one.services:
            yield f"   {unit}: {state or 'starts when the host boots'}"
        if one.manifest and (one.manifest.sandbox.allow or one.manifest.sandbox.deny):
            sandbox = one.manifest.sandbox
            parts = [f"allows {', '.join(sandbox.allow)}"] if sandbox.allow else []
            parts += [f"denies {', '.join(sandbox.deny)}"] if sandbox.deny else []
            yield f"   Sandbox: {'; '.join(parts)}"
        if one.limits:
            held = one.limits
            limits = [f"{100 * held.cpu:g} % of a processor"] if held.cpu is not None else []
            limits += [f"{held.memory:,} bytes of memory"] if held.memory is not None else []
            limits += [f"{held.tasks:,} tasks"] if held.tasks is not None else []
            yield f"   Limits, as the kernel has them: {', '.join(limits) or 'none'}"
    if one.previous:
        yield f"   Before: {one.previous[:SHORT]}"
    for short in one.others:
        yield f"   Runs though it is not active: tori@{short}.service (`capsdeploy recover` stops it)"
    if one.interrupted:
        yield f"   {one.interrupted.action} is under way, or was interrupted: {one.interrupted.state}"


def _document(one: Status) -> dict[str, object]:
    release, manifest = one.release, one.manifest
    return {
        "app": one.app,
        "up": one.up,
        "active": release.id if release else None,
        "version": release.receipt.version if release else None,
        "signed_by": release.receipt.signed_by if release else None,
        "previous": one.previous,
        "interrupted": one.interrupted.state if one.interrupted else None,
        "damage": one.damage,
        "others": list(one.others),
        "sandbox": {"allow": manifest.sandbox.allow, "deny": manifest.sandbox.deny} if manifest else None,
        "limits": vars(one.limits) if one.limits else None,
        "services": [
            {
                "unit": unit,
                "active": state.active if state else None,
                "sub": state.sub if state else None,
                "result": state.result if state else None,
                "main_pid": state.main_pid if state else None,
                "restarts": state.restarts if state else None,
            }
            for unit, state in one.services
        ],
    }
