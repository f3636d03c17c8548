"""The page and the command say the same."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from capsule_deploy.migrate.systemd.directives import FATES, fate_of
from tests.capsbuild.command import ENVIRONMENT
from tests.deploy.migrate.command import COMMAND

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/migrate.md").read_text()


def codes() -> set[str]:
    """Every code in the sources."""
    found: set[str] = {fate.code for fate in FATES.values()} | {"condition"}
    calls = (
        r'(?:left|changed|suggested|Problem|refusal|_left)\(\s*|_refused\(\s*process,\s*|code=|"(?:left|changed)",\s*'
    )
    for file in (ROOT / "capsule_deploy").glob("migrate/**/*.py"):
        text = file.read_text()
        found |= set(re.findall(rf'(?:{calls})"([a-z][a-z-]+)"', text))
        found |= set(re.findall(r'_leave\(\s*path, [^)]*?"([a-z]+-file)"', text))
        found |= set(re.findall(r'": \("([a-z-]+)",', text)) | set(
            re.findall(r'^_[A-Z]+ = \("([a-z][a-z-]+)", "', text, re.M)
        )
    return found - {"left", "changed", "carried", "suggested"}


def test_every_code_is_on_the_page() -> None:
    documented = set(re.findall(r"`([a-z][a-z-]+)`", PAGE.partition("## Codes")[2]))
    assert codes() - documented == set()
    assert len(codes()) > 100


def test_the_help_has_every_option_and_status_of_the_page() -> None:
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0
    for option in ("--unit", "--output", "--root", "--json"):
        assert option in done.stdout and f"`{option}" in PAGE
    statuses = re.findall(r"^\| ([0-9]) \|", PAGE, re.M)
    assert statuses == re.findall(r"^  ([0-9])  ", done.stdout, re.M)


def test_every_directive_of_this_systemd_has_a_fate() -> None:
    """All that ``systemd`` knows for services, but for what is read on its own; asked of systemd itself."""
    done = subprocess.run(["/usr/lib/systemd/systemd", "--dump-configuration-items"], capture_output=True, text=True)
    known = set()
    section = ""
    for line in done.stdout.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and section in ("Unit", "Service", "Install"):
            name, _, kind = line.partition("=")
            if kind not in ("NOTSUPPORTED", "OBSOLETE"):
                known.add(name)
    assert len(known) > 250
    text = "".join(file.read_text() for file in (ROOT / "capsule_deploy/migrate/systemd").glob("*.py"))
    missing = {name for name in known if fate_of(name) is None and f'"{name}"' not in text}
    assert missing == set()
