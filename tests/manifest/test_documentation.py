"""The page about the manifest is true, and so is the help of the command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from capsule_builder.cli.caps_validate import main
from capsule_builder.manifest import check
from capsule_builder.manifest.names import RESERVED_PREFIXES, RESERVED_VARIABLES
from capsule_builder.manifest.sections import SECTION_KEYS
from tests.manifest.golden import HEAD, said_of
from tests.manifest.test_model import SPECIFIED

PAGE = (Path(__file__).parents[2] / "docs" / "manifest.md").read_text("utf-8")
MANIFEST, SERVICES, HEALTH, MODELINE, HOOK = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
KEYS = "|".join(key for keys in SECTION_KEYS.values() for key in keys)
EXAMPLE_LINES = re.findall(rf"`((?:{KEYS}|MAX_TOKENS_PER_MIN): (?!unknown)[^`\n]+)`", PAGE)


def test_the_manifest_on_the_page_is_the_specified_one() -> None:
    assert MANIFEST.encode() == SPECIFIED


@pytest.mark.parametrize(
    "text",
    [
        HEAD + SERVICES,
        *(f"{HEAD}services:\n  - name: web\n    {line}\n" for line in HEALTH.splitlines()),
        MODELINE + HEAD,
    ],
)
def test_every_example_is_valid(text: str) -> None:
    assert said_of(text.encode()) == ""


@pytest.mark.parametrize("line", EXAMPLE_LINES)
def test_every_example_line_is_valid(line: str) -> None:
    key = line.partition(":")[0]
    section = next((kind for kind, keys in SECTION_KEYS.items() if key in keys), "env")
    others = "".join(f"{other}\n" for other in HEAD.splitlines() if not other.startswith(f"{key}:"))
    text = others + line if section == "the manifest" else f"{HEAD}{section}:\n  {line}"
    assert said_of(text.encode()) == ""


def test_the_examples_of_lines_were_found() -> None:
    assert len(EXAMPLE_LINES) >= 10


def test_every_key_and_every_reserved_variable_is_on_the_page() -> None:
    for keys in SECTION_KEYS.values():
        for key in keys:
            assert re.search(rf"`(?:[\w\[\]]+\.)*{key}`", PAGE), key
    for name in [*RESERVED_VARIABLES, *(f"{prefix}*" for prefix in RESERVED_PREFIXES)]:
        assert f"`{name}`" in PAGE


def test_the_messages_on_the_page_and_in_the_help_are_the_real_ones(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = SPECIFIED.replace(b'"3.11"', b"3.10").replace(b'"80%"', b'"80"')
    said = [str(problem) for problem in check(wrong, "capsule.yml")[1]]
    with pytest.raises(SystemExit):
        main(["--help"])
    for text in (PAGE, capsys.readouterr().out):
        assert re.findall(r"^ *(capsule\.yml:\d+:\d+: .*)$", text, re.MULTILINE) == said


def test_the_json_example_is_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("capsule.yml").write_bytes(SPECIFIED.replace(b'"80%"', b'"80"'))
    assert main(["--format", "json", "capsule.yml"]) == 1
    block = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    assert json.loads(capsys.readouterr().out) == json.loads(block.group(1))


def test_the_links_inside_the_page_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


def test_the_hook_is_yaml() -> None:
    assert yaml.safe_load(HOOK)["repos"][0]["hooks"][0]["entry"] == "caps_validate --quiet"
