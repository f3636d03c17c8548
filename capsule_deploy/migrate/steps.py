"""What is to be done next, as commands: from the report to a capsule that runs in the old service's place."""

from __future__ import annotations

import os
import posixpath
import re
import shlex

from capsule_builder.paths import MANIFEST_NAME
from capsule_builder.sources.ignore import IGNORE_NAME
from capsule_deploy.migrate.draft import Draft
from capsule_deploy.migrate.model import Deployment
from capsule_deploy.migrate.places import STATE, Places

_MADE_BY_RUNNING = re.compile(r"\.(?:pid|sock|socket|lock)$")

_OFF = {
    "supervisor": "take the old programs out of supervisor's configuration",
    "cron": "take the old line out of the crontab",
    "script": "see that nobody calls the old script any more",
}


def steps(draft: Draft, deployment: Deployment, venv: str | None, places: Places, output: str) -> list[str]:
    """The steps, each a sentence with its commands; ``venv`` is the capsule's environment on the old host.

    The commands name what is known; ``FILE`` is the capsule that the build makes, ``ID`` its identity.
    """
    copy = f"{draft.name}-source"
    build = f"capsbuild --from-dir {copy}"
    check = ""
    if venv is not None:
        here = shlex.quote(os.path.abspath(places.here(venv)))
        if places.relative(venv) != "venv":
            build += f" --venv {here}"
        if draft.pip_requirements:
            file = shlex.quote(places.in_tree(draft.pip_requirements))
            check = f"Check the environment: {_code(f'capsbuild requirements --venv {here} {file}')}."
    elif draft.needs_python:
        build += " --wheels WHEELS"
    names = " ".join(shlex.quote(os.path.join(output, name)) for name in (MANIFEST_NAME, IGNORE_NAME))
    made = f"{_code(f'cp -a {shlex.quote(places.directory)} {copy}')} and {_code(f'cp {names} {copy}/')}"
    found = [
        "Read this report, above all what was not carried over, and mend the application where it says so.",
        check,
        f"Copy the application, and put both files into the copy: {made}.",
        f"Check and build: `caps_validate {copy}/{MANIFEST_NAME}` and {_code(build)}.",
        "Install it: `capsdeploy install FILE`.",
        f"Stop the old service: {_code(shlex.join(deployment.stop))}." if deployment.stop else "Stop the old service.",
        _state(draft.name, places),
        f"Activate it: `capsdeploy activate ID`. When all is well, {_off(deployment)}.",
    ]
    return [step for step in found if step]


def _off(deployment: Deployment) -> str:
    return _code(shlex.join(deployment.disable)) if deployment.disable else _OFF[deployment.layout]


def _state(name: str, places: Places) -> str:
    """Copies the state, so that the old service can still be started; the account is the one that activation makes."""
    if not places.moved:
        return ""
    state = f"{STATE}/{name}"
    inner = set(places.moved.values())
    above = sorted({posixpath.dirname(new) for new in inner} - {"", *inner})
    commands = [
        shlex.join(["systemd-sysusers", "--inline", f'u tori-{name} - "Capsule {name}" {state} /usr/sbin/nologin']),
        shlex.join(["install", "-d", "-m", "700", state, *(f"{state}/{place}" for place in above)]),
    ]
    for old, new in outermost(places.moved).items():
        here = places.here(old)
        if os.path.lexists(here) and not _MADE_BY_RUNNING.search(old):
            commands.append(shlex.join(["cp", "-aT", here, f"{state}/{new}".rstrip("/")]))
    commands.append(shlex.join(["chown", "-R", f"tori-{name}:", state]))
    told = ", ".join(map(_code, commands))
    return f"Make its account, copy its state as the table above says, and give it to the account: {told}."


def _code(command: str) -> str:
    """A command as Markdown has it, between more backticks than it has itself."""
    fence = "`" * (1 + max(map(len, re.findall("`+", command)), default=0))
    return f"{fence}{command}{fence}"


def outermost(moved: dict[str, str]) -> dict[str, str]:
    """Without what goes along with a directory that is moved."""
    return {
        old: new
        for old, new in sorted(moved.items())
        if not any(
            old.startswith(f"{above}/") and new == (moved[above] + old[len(above) :]).lstrip("/") for above in moved
        )
    }
