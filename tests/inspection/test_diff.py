"""``capsbuild diff`` names what changed the ID, down to the file or the wheel."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.capsbuild.command import capsbuild, write
from tests.inspection.capsules import SITE, build


def different(old: Path, new: Path, status: int = 1) -> dict[str, Any]:
    ran = capsbuild("diff", old, new, "--json")
    assert (ran.status, ran.err, ran.out.count("\n")) == (status, "", 1)
    document: dict[str, Any] = json.loads(ran.out)
    assert document["same"] is (status == 0)
    return document


def listing_of(capsule: Path, place: Path) -> Path:
    listing = subprocess.run(["tar", "xzOf", capsule, ".capsule_contents"], capture_output=True, check=True).stdout
    place.write_bytes(listing)
    return place


def test_a_capsule_is_the_same_as_itself_and_as_its_listing(capsule: Path, tmp_path: Path) -> None:
    listing = listing_of(capsule, tmp_path / "contents")
    for other in (capsule, listing):
        document = different(capsule, other, 0)
        assert (document["reasons"], document["manifest"], document["facts"]) == ([], [], [])
        assert document["old"]["id"] == document["new"]["id"] == hashlib.sha256(listing.read_bytes()).hexdigest()


def test_another_level_is_the_same_and_told_apart(capsule: Path, tmp_path: Path) -> None:
    app = capsule.parent / "app"
    environment = ["--wheels", capsule.parent / "wheels", "--requirements", capsule.parent / "requirements.txt"]
    other = tmp_path / "other.tar.gz"
    assert capsbuild("--from-dir", app, *environment, "--output", other, "--compression-level", "1").status == 0
    facts = {key["key"]: (key["old"], key["new"]) for key in different(capsule, other, 0)["facts"]}
    assert facts.keys() == {"builder.compression_level", "compressed_size"}
    assert facts["builder.compression_level"] == (6, 1)


def test_one_file_is_named(capsule: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "other", changed={"main.py": "print('hello, world')\n"})
    document = different(capsule, other)
    [reason] = document["reasons"]
    assert (reason["kind"], reason["added"], reason["removed"], reason["changed"], reason["growth"]) == (
        "application", 0, 0, 1, 7,
    )  # fmt: skip
    before, after = (
        hashlib.sha256(text.encode()).hexdigest() for text in ("print('hello')\n", "print('hello, world')\n")
    )
    assert reason["changes"] == [
        {
            "path": "main.py",
            "how": ["content"],
            "old": {"kind": "file", "sha256": before, "size": 15},
            "new": {"kind": "file", "sha256": after, "size": 22},
        }
    ]
    assert document["manifest"] == []
    assert "    other content: main.py\n" in capsbuild("diff", capsule, other).out


@pytest.mark.parametrize("sides", ["archives", "listings", "listing and archive"])
def test_another_version_of_a_wheel_is_one_reason(capsule: Path, tmp_path: Path, sides: str) -> None:
    """With listings alone, names have to do: they tell the version, and that a package of another name changed."""
    other = build(tmp_path / "other", demo="2.0")
    old = capsule if sides == "archives" else listing_of(capsule, tmp_path / "a")
    new = other if sides != "listings" else listing_of(other, tmp_path / "b")
    reasons = different(old, new)["reasons"]
    ran = capsbuild("diff", old, new)
    if sides == "listings":
        assert [(reason["kind"], reason["name"]) for reason in reasons] == [
            ("distribution", "demo-lib"), ("package", "demonstration"),
        ]  # fmt: skip
        counts = [sum(reason[how] for reason in reasons) for how in ("added", "removed", "changed")]
    else:
        [reason] = reasons
        counts = [reason["added"], reason["removed"], reason["changed"]]
        assert "  demo-lib 1.0 -> 2.0: 11 entries (5 added, 5 removed, 1 changed" in ran.out
    assert (reasons[0]["old_version"], reasons[0]["new_version"]) == ("1.0", "2.0")
    assert counts == [5, 5, 1]
    paths = {change["path"] for reason in reasons for change in reason["changes"]}
    assert {f"{SITE}/demonstration/only1.py", f"{SITE}/demonstration/only2.py"} < paths
    assert f"{SITE}/demonstration/same.py" not in paths


def test_the_manifest_alone_is_told_by_its_keys(capsule: Path, tmp_path: Path) -> None:
    more = "env: {LEVEL: debug}\nservices:\n  - {name: web, args: [--fast]}\n"
    document = different(capsule, build(tmp_path / "other", version="2.1.1", more=more))
    assert [change["path"] for reason in document["reasons"] for change in reason["changes"]] == ["capsule.yml"]
    keys = {key["key"]: (key["old"], key["new"]) for key in document["manifest"]}
    assert keys["version"] == ("2.1.0", "2.1.1")
    assert keys["env.LEVEL"] == (None, "debug")
    assert not any(key.startswith("dependencies") for key in keys)
    assert keys["services.web.args"] == (None, ["--fast"])


def test_keys_are_called_as_in_the_manifest(tmp_path: Path) -> None:
    for name, more in (("a", ""), ("b", 'dependencies: {python: "3.12"}\nresources: {memory_max: 1G}\n')):
        manifest = f"name: a\nversion: 1.0.0\nentrypoint: run.sh\n{more}"
        write(tmp_path / name, {"capsule.yml": manifest, "run.sh": "#!/bin/sh\n"})
        assert capsbuild("--from-dir", tmp_path / name, "--output", tmp_path / f"{name}.tar.gz").status == 0
    keys = different(tmp_path / "a.tar.gz", tmp_path / "b.tar.gz")["manifest"]
    assert {key["key"]: key["new"] for key in keys} == {"dependencies.python": "3.12", "resources.memory_max": "1G"}


def test_a_mode_alone_is_told_as_one(capsule: Path, tmp_path: Path) -> None:
    other = build(tmp_path / "other", more="executables: [tool]\n")
    changes = {
        change["path"]: change for reason in different(capsule, other)["reasons"] for change in reason["changes"]
    }
    assert changes.keys() == {"capsule.yml", "tool"}
    assert changes["tool"]["how"] == ["mode"]
    assert (changes["tool"]["old"]["kind"], changes["tool"]["new"]["kind"]) == ("file", "executable")
    assert "    other mode: tool\n" in capsbuild("diff", capsule, other).out


def test_a_link_in_place_of_a_file_and_another_target_are_told(tmp_path: Path) -> None:
    capsules = []
    for target in (None, "one", "two"):
        app = tmp_path / f"app-{target}"
        app.mkdir()
        (app / "capsule.yml").write_text("name: a\nversion: 1.0.0\nentrypoint: one\n")
        for name in ("one", "two"):
            (app / name).write_text("#!/bin/sh\n")
        if target:
            (app / "link").symlink_to(target)
        else:
            (app / "link").write_text("a file\n")
        capsules.append(app.with_suffix(".tar.gz"))
        assert capsbuild("--from-dir", app, "--output", capsules[-1]).status == 0
    how = [different(*pair)["reasons"][0]["changes"][0]["how"] for pair in (capsules[:2], capsules[1:])]
    assert how == [["kind"], ["target"]]


def test_many_files_are_named_up_to_a_number_and_all_in_json(capsule: Path, tmp_path: Path) -> None:
    more = {f"many/{number}": str(number) for number in range(60)}
    other = build(tmp_path / "other", changed=dict(more))
    assert different(capsule, other)["reasons"][0]["added"] == 60
    out = capsbuild("diff", capsule, other).out
    assert out.count("    added: many/") == 50
    assert "    … and 10 more (--json has them all)\n" in out


def test_what_is_no_listing_is_refused(capsule: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    for text in (
        "# capsule-contents v1\nnonsense\n",
        "# capsule-contents v2\n",
        f"# capsule-contents v1\n{'0' * 64}  ../a\n",
        "",
    ):
        bad.write_text(text)
        ran = capsbuild("diff", bad, capsule)
        assert (ran.status, ran.out) == (4, "")
        assert ran.err.startswith(f"ERROR: {bad}")
