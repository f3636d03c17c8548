"""The guide to releases has every code, key and exit status that there is."""

from __future__ import annotations

import re
from pathlib import Path

from capsule_deploy import exits
from capsule_deploy.policy import _KEYS, _RESERVE
from tests.capsbuild.command import ROOT

GUIDE = (ROOT / "docs" / "releases.md").read_text()
MODULES = (
    "confine", "gc", "guarded", "install", "known", "live", "locks", "objects", "policy", "private_copy", "releases",
    "staging", "trees", "trust", "unpacking", "verify",
)  # fmt: skip


def test_every_code_is_in_the_guide() -> None:
    raised = "".join((Path(ROOT) / "capsule_deploy" / f"{name}.py").read_text() for name in MODULES)
    codes = set(re.findall(r'(?:Problem|refusal|_bad|report\.error)\(\s*(?:[a-z.]+, )?"([a-z-]+)"', raised))
    assert len(codes) > 25
    told = set(re.findall("`([a-z-]+)`", GUIDE))
    reader = set(re.findall("`([a-z-]+)`", (ROOT / "docs" / "verify.md").read_text()))
    assert codes - told - reader - {"archive-special"} == set()


def test_every_key_of_the_policy_is_in_the_guide() -> None:
    keys = {key for key in _KEYS if key != "reserve"} | {f"reserve.{key}" for key in _RESERVE}
    assert set(re.findall(r"^\| `([a-z_.]+)` \| `", GUIDE, re.M)) == keys


def test_every_exit_status_is_in_the_guide() -> None:
    numbers = {value for name, value in vars(exits).items() if name.isupper()}
    assert {int(number) for number in re.findall(r"^\| ([0-9]+) \|", GUIDE, re.M)} == numbers - {exits.UNHEALTHY}
