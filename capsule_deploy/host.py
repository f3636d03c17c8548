"""A host for capsules: the directories, units and interpreters that it has to have, and whether it has them."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.paths import shown
from capsule_deploy import accounts, durable, journal, systemd, units
from capsule_deploy.activate import Say
from capsule_deploy.layout import Layout
from capsule_deploy.policy import read_policy
from capsule_deploy.recover import applications
from capsule_deploy.releases import ReceiptError, active, survey
from capsule_deploy.trust import read_keys
from capsule_deploy.unit_text import quoted

RECOVER = "tori-recover.service"
PYTHONS = tuple(f"3.{minor}" for minor in range(8, 20))
"""The versions of Python for which a host may have an interpreter."""

_PLACES = ("/usr/local/bin", "/usr/bin", "/opt/python/{0}/bin", "/usr/local/python{0}/bin")
_UNITS = (units.TEMPLATE, RECOVER)


def init(layout: Layout, command: str | None, say: Say) -> None:
    """Makes all that is missing; says what. What is there and right stays as it is.

    ``command`` is where the host finds ``capsdeploy`` itself.

    Raises:
        CapsuleError: it is not to be found, something else is in the place of a directory, or what is known of a
            release cannot be read; the rest has been done.
        OSError: something cannot be made.
    """
    texts = _texts(_command(command))
    misplaced = [
        _misplaced(path)
        for path, _ in _directories(layout)
        if os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode) and path not in _systems(layout)
    ]
    if misplaced:
        raise systemd.HostError(misplaced)
    for path, mode in _directories(layout):
        if not os.path.isdir(path):
            os.makedirs(path, mode=mode)
            say(f"made {path}")
        found = os.stat(path)
        if path in _systems(layout):
            continue
        if stat.S_IMODE(found.st_mode) != mode or found.st_uid != os.geteuid():
            os.chown(path, os.geteuid(), os.getegid())
            os.chmod(path, mode)
            say(f"gave {path} its owner and mode")
    changed = False
    for name, text in texts.items():
        if _read(os.path.join(layout.units, name)) != text:
            durable.write_file(os.path.join(layout.units, name), text.encode())
            changed = True
            say(f"wrote {name}")
    wants = os.path.join(layout.units, "multi-user.target.wants")
    if not os.path.lexists(os.path.join(wants, RECOVER)):
        os.makedirs(wants, mode=0o755, exist_ok=True)
        durable.write_link(os.path.join(wants, RECOVER), f"/etc/systemd/system/{RECOVER}")
        changed = True
        say(f"enabled {RECOVER}")
    for version, program in _interpreters(layout):
        link = layout.path(f"/opt/tori/python/{version}/bin/python{version}")
        if not os.path.exists(layout.resolved(link)):
            os.makedirs(os.path.dirname(link), mode=0o755, exist_ok=True)
            durable.write_link(link, program)
            say(f"Python {version} is {program}")
    problems: list[Problem] = []
    releases, unknown = survey(layout)
    for release in releases:  # those that were written with an older template
        try:
            accounts.ensure(layout, release.app)
            changed |= units.write(layout, release)
        except CapsuleError as refused:
            problems += refused.problems
    if changed and layout.root == "/" and systemd.running():
        systemd.reload()
    if problems or unknown:
        raise (systemd.HostError if problems else ReceiptError)([*problems, *unknown])


def doctor(layout: Layout) -> list[Problem]:
    """What is missing or wrong, each with how to mend it."""
    return [*_layout_problems(layout), *_unit_problems(layout), *_release_problems(layout), *_running_problems(layout)]


def _layout_problems(layout: Layout) -> Iterator[Problem]:
    init_remedy = "Call `capsdeploy host init`."
    for path, mode in _directories(layout):
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            yield Problem("directory-missing", f"There is no {path}", init_remedy)
            continue
        if not stat.S_ISDIR(found.st_mode):
            yield _misplaced(path)
        elif found.st_uid != 0 or found.st_mode & 0o022:
            yield Problem("directory-open", f"Others than root can write to {path}", init_remedy)
        elif path not in (layout.units, layout.sysusers) and stat.S_IMODE(found.st_mode) != mode:
            yield Problem("directory-mode", f"{path} has mode {stat.S_IMODE(found.st_mode):04o}", init_remedy)
    devices = {
        os.stat(path).st_dev for path in (layout.releases, layout.staging, layout.objects) if os.path.isdir(path)
    }
    if len(devices) > 1:
        message = "The releases, objects and staging directories are on different file systems"
        yield Problem("file-systems", message, "Have all of /opt/tori on one.")
    yield from _trust_problems(layout)
    if not _names(layout.path("/opt/tori/python")):
        yield Problem("python-none", "There is no Python for capsules", "Install one, and call `capsdeploy host init`.")
    for version in _names(layout.path("/opt/tori/python")):
        link = layout.path(f"/opt/tori/python/{version}/bin/python{version}")
        if not os.path.exists(layout.resolved(link)):
            message = f"The interpreter of {version} is gone: {link}"
            yield Problem("python-gone", message, f"Install Python {version}, and call `capsdeploy host init`.")


def _trust_problems(layout: Layout) -> Iterator[Problem]:
    unsigned = False
    try:
        unsigned = read_policy(layout).unsigned
    except CapsuleError as refused:
        yield from refused.problems
    try:
        keys = read_keys(layout)
    except CapsuleError as refused:
        yield from refused.problems
        return
    if not unsigned and not keys:
        yield Problem(
            "trust-none", f"There is no public key in {layout.trust}", "Put those that you trust there, as *.pub."
        )


def _unit_problems(layout: Layout) -> Iterator[Problem]:
    template = _read(os.path.join(layout.units, units.TEMPLATE))
    recover = _read(os.path.join(layout.units, RECOVER))
    for name, text in ((units.TEMPLATE, template), (RECOVER, recover)):
        if text is None:
            yield Problem("unit-missing", f"There is no {name}", "Call `capsdeploy host init`.")
    if template is not None and template != units.template():
        yield Problem("unit-other", f"{units.TEMPLATE} is not this version's", "Call `capsdeploy host init`.")
    command = re.search(r'^ExecStart="([^"]+)"', recover or "", re.MULTILINE)
    if command and not os.access(layout.resolved(layout.path(command[1])), os.X_OK):
        message = f"{RECOVER} calls {shown(command[1])}, which is not there"
        yield Problem("command-gone", message, "Call `capsdeploy host init --command` with its place.")
    if not os.path.lexists(os.path.join(layout.units, "multi-user.target.wants", RECOVER)):
        yield Problem("recover-disabled", f"{RECOVER} is not enabled", "Call `capsdeploy host init`.")


def _release_problems(layout: Layout) -> Iterator[Problem]:
    for app in applications(layout):
        for link in ("active", "previous"):
            named = active(layout, app, link)
            if named and not os.path.isdir(layout.release(named)):
                remedy = "Install that release again, or activate another one."
                yield Problem("link-dangling", f"{link} of {app} names a release that is not there: {named}", remedy)
    releases, unknown = survey(layout)
    yield from unknown
    for release in releases:
        main = os.path.join(layout.units, f"tori@{release.short}.service.d", units.DROP_IN)
        if not os.path.exists(main):
            message = f"The release {release.short} of {release.app} has no units"
            yield Problem("units-missing", message, "Call `capsdeploy host init`.")
    for app in applications(layout):
        try:
            change = journal.read(layout, app)
        except CapsuleError as damaged:
            yield from damaged.problems
            continue
        if change is None:
            continue
        message = f"A change of {app} is under way, or was interrupted: {change.action}, {change.state}"
        yield Problem("interrupted", message, "If no command is at work on it, call `capsdeploy recover`.")


def _running_problems(layout: Layout) -> Iterator[Problem]:
    if layout.root != "/":
        return
    if not systemd.running():
        yield Problem("systemd-missing", "This host is not run by systemd", "Capsules need it.")
        return
    version = int((re.search(r"systemd (\d+)", systemd.version()) or ["", "0"])[1])
    if version < 250:
        yield Problem("systemd-old", f"systemd {version} is too old", "Capsules need 250 or newer.")
    for app in applications(layout):
        named = active(layout, app)
        if named:
            state = systemd.state(f"tori@{named[:12]}.service")
            if not state.up:
                message = f"{app} does not run: tori@{named[:12]}.service is {state}"
                yield Problem(
                    "not-running", message, f"See `capsdeploy logs {named[:12]}`; `capsdeploy recover` starts it."
                )


def _directories(layout: Layout) -> list[tuple[str, int]]:
    open_ones = [layout.tori, layout.releases, layout.receipts, layout.state, layout.path("/opt/tori/python")]
    open_ones += [layout.path("/etc/tori"), layout.trust, layout.units, layout.sysusers]
    closed = [layout.objects, layout.staging]
    return [(path, 0o755) for path in (*open_ones, layout.apps)] + [(path, 0o700) for path in closed]


def _texts(command: str) -> dict[str, str]:
    return {name: units.shipped(name).replace("@CAPSDEPLOY@", quoted(command)) for name in _UNITS}


def _command(given: str | None) -> str:
    """Where ``capsdeploy`` lies, for a unit: as it was said, as it was called, or as a shell would find it."""
    called = sys.argv[0] if os.path.basename(sys.argv[0]) == "capsdeploy" else "capsdeploy"
    found = given or shutil.which(called)
    if not found or not os.path.isabs(os.path.abspath(found)):
        raise refusal("command-missing", "Cannot tell where capsdeploy is", "Say it with --command.")
    return os.path.abspath(found)


def _interpreters(layout: Layout) -> Iterator[tuple[str, str]]:
    """The interpreters of the host, by their versions, as the host finds them."""
    for version in PYTHONS:
        for place in _PLACES:
            program = f"{place.format(version)}/python{version}"
            if os.path.exists(layout.resolved(layout.path(program))) and _runs(layout, program, version):
                yield version, program
                break


def _runs(layout: Layout, program: str, version: str) -> bool:
    if layout.root != "/":
        return True
    probe = [program, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(probe, capture_output=True, text=True, timeout=30, check=False).stdout.strip() == version
    except (OSError, subprocess.TimeoutExpired):
        return False


def _systems(layout: Layout) -> tuple[str, str]:
    """Directories that are not ours alone."""
    return layout.units, layout.sysusers


def _misplaced(path: str) -> Problem:
    return Problem(
        "directory-other", f"Not a directory: {shown(path)}", "Move it away, and call `capsdeploy host init`."
    )


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
