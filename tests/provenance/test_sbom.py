"""``capsbuild sbom``: what was packed, as CycloneDX says it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from capsule_builder.metadata import BuildFacts
from capsule_builder.requirements import Target, read_requirements
from capsule_builder.statements.locked import lock_problems
from capsule_builder.statements.packed import read_packed
from capsule_builder.statements.sbom import write_sbom
from tests.capsbuild.command import ENVIRONMENT, ROOT, capsbuild
from tests.provenance.conftest import METADATA, Build


def made(archive: Path) -> dict[str, Any]:
    """The SBOM of a capsule, which is found to be valid."""
    packed = read_packed(os.fspath(archive))
    data = write_sbom(packed, Target() if packed.python else None).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data) is None
    document: dict[str, Any] = json.loads(data)
    return document


def components(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {component["name"]: component for component in document["components"]}


def test_the_validator_finds_what_is_wrong(capsule: Path) -> None:
    document = made(capsule)
    document["components"][0]["type"] = "thing"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document)) is not None


def test_the_application_is_the_capsule(capsule: Path) -> None:
    document = made(capsule)
    application = document["metadata"]["component"]
    with tarfile.open(capsule) as tar:
        file = tar.extractfile(".capsule_contents")
        assert file
        capsule_id = hashlib.sha256(file.read()).hexdigest()
    assert (application["name"], application["version"], application["type"]) == ("alan", "2.1.0", "application")
    assert application["hashes"] == [{"alg": "SHA-256", "content": capsule_id}]


def test_each_distribution_is_a_component(capsule: Path) -> None:
    found = components(made(capsule))
    assert {(name, part["version"]) for name, part in found.items()} == {
        (name.replace("_", "-"), version) for name, version in METADATA
    }
    place = "venv/lib/python3.11/site-packages/core_part-2.0+local.1.dist-info/RECORD"
    with tarfile.open(capsule) as tar:
        file = tar.extractfile(place)
        assert file
        record = hashlib.sha256(file.read()).hexdigest()
    part = found["core-part"]
    assert part["purl"] == part["bom-ref"] == "pkg:pypi/core-part@2.0%2Blocal.1"
    assert part["hashes"] == [{"alg": "SHA-256", "content": record}]
    assert part["properties"] == [
        {"name": "capsule:hash-of", "value": place},
        {"name": "capsule:wheel-tag", "value": "py3-none-any"},
    ]
    assert found["web"]["description"] == "A web"


def test_licences_are_declared_as_metadata_have_them(capsule: Path) -> None:
    found = components(made(capsule))

    def one(name: str) -> dict[str, Any]:
        (declared,) = found[name]["licenses"]
        return dict(declared)

    assert one("web") == {"acknowledgement": "declared", "expression": "MIT AND PSF-2.0"}
    assert one("core-part") == {"license": {"acknowledgement": "declared", "name": "BSD License"}}
    assert one("speed") == {"license": {"acknowledgement": "declared", "id": "MIT"}}
    assert one("tool") == {"license": {"acknowledgement": "declared", "id": "Apache-2.0"}}
    assert one("text")["license"]["name"] == "declared license"
    assert one("text")["license"]["text"]["content"].startswith("All that is written here is written. All")
    assert "licenses" not in found["round"]


def test_the_graph_follows_what_is_required_on_the_target(capsule: Path) -> None:
    graph = {
        item["ref"].partition("@")[0]: [ref.partition("@")[0] for ref in item.get("dependsOn", [])]
        for item in made(capsule)["dependencies"]
    }
    pypi = "pkg:pypi/"
    assert graph == {
        # What nothing requires, and one of those that require each other.
        "capsule": [f"{pypi}{name}" for name in ("round", "text", "tool", "web")],
        f"{pypi}web": [f"{pypi}core-part"],  # the marker of "tool" does not hold
        f"{pypi}core-part": [f"{pypi}speed"],  # "fast" is asked for, "slow" is not
        f"{pypi}speed": [],
        f"{pypi}text": [],
        f"{pypi}tool": [],  # "nowhere" is not packed
        f"{pypi}round": [f"{pypi}trip"],
        f"{pypi}trip": [f"{pypi}round"],
    }


def test_a_capsule_without_an_environment(built: Build) -> None:
    document = made(built(wheels=False))
    assert "components" not in document
    assert document["dependencies"] == [{"ref": "capsule"}]


def test_the_same_content_gives_the_same_sbom(built: Build) -> None:
    one, other = made(built()), made(built("other", level=1))
    assert one == other
    assert "timestamp" not in one["metadata"]
    assert uuid.UUID(one["serialNumber"]).version == 5


def test_a_stamped_one_has_the_time_of_the_build(built: Build) -> None:
    document = made(built(facts=BuildFacts("2026-01-02T03:04:05Z", "host")))
    assert document["metadata"]["timestamp"] == "2026-01-02T03:04:05+00:00"
    assert document["serialNumber"] == made(built("plain"))["serialNumber"]


def test_the_command_writes_the_same_bytes_each_time(capsule: Path, tmp_path: Path) -> None:
    ran = capsbuild("sbom", capsule)
    assert (ran.status, ran.err) == (0, "")
    beside = capsule.with_name("app.tar.gz.cdx.json")
    assert ran.out.splitlines() == [
        f"✅ SBOM written: {beside}",
        f"   BUILD_SHA: {read_packed(os.fspath(capsule)).id}",
        f"   Distributions: {len(METADATA)}",
    ]
    ran = capsbuild("sbom", capsule, "--output", tmp_path / "again", env={"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"})
    assert ran.status == 0, ran.err
    assert (tmp_path / "again").read_bytes() == beside.read_bytes()


def test_without_the_library_the_command_says_how_to_get_it(capsule: Path, tmp_path: Path) -> None:
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'cyclonedx' else find(name, *more)\n"
        "from capsule_builder.cli.capsbuild import main; sys.exit(main(sys.argv[1:]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "sbom", capsule], env=ENVIRONMENT, capture_output=True, check=False, text=True
    )
    assert (ran.returncode, ran.stderr) == (
        2,
        "ERROR: SBOMs need cyclonedx-python-lib\n  Run: pip install 'capsule-builder[sbom]'\n",
    )
    assert not capsule.with_name("app.tar.gz.cdx.json").exists()


def test_nothing_but_the_sbom_needs_the_library(capsule: Path) -> None:
    code = (
        "import sys; sys.modules['cyclonedx'] = sys.modules['packageurl'] = None\n"
        "from capsule_builder.cli.capsbuild import main; sys.exit(main(sys.argv[1:]))"
    )
    for command in (["provenance", capsule], ["sbom", "--help"]):
        subprocess.run([sys.executable, "-c", code, *command], env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)


def test_the_actions_do_not_get_what_writes_it() -> None:
    text = (ROOT / "capsule_builder/BUILD").read_text()
    assert '"statements/**"' in text


# The lock


def locked(capsule: Path, text: str, command: str = "sbom") -> tuple[int, str]:
    lock = capsule.parent / "lock.txt"
    lock.write_text(text)
    ran = capsbuild(command, capsule, "--lock", lock, "--json")
    errors = json.loads(ran.out).get("errors", [])
    return ran.status, "\n".join(f"{each['code']}: {each['message'].partition(chr(10))[0]}" for each in errors)


WHOLE = "".join(f"{name}=={version}\n" for name, version in METADATA)


def test_a_lock_that_names_all_is_met(capsule: Path) -> None:
    more = "elsewhere==1.0; sys_platform == 'win32'\nextra-constraint==9; python_version < '3'\n"
    assert locked(capsule, WHOLE + more) == (0, "")


def test_every_difference_is_told_at_once(capsule: Path) -> None:
    lines = WHOLE.replace("tool==4.1", "tool==4.2").replace("text==5\n", "").replace("speed==3", "speed>=3")
    lock = capsule.parent / "lock.txt"
    assert locked(capsule, f"{lines}missing==1.0\n") == (
        1,
        (
            f"lock-missing: missing is locked and not packed: missing==1.0 ({lock}:7)\n"
            f"lock-loose: {lock}:3: names no exact version: speed>=3\n"
            "lock-absent: text 5 is packed and not locked\n"
            f"lock-version: tool 4.1 is packed, and another version locked: tool==4.2 ({lock}:4)"
        ),
    )
    assert not capsule.with_name("app.tar.gz.cdx.json").exists()


def test_provenance_is_held_against_it_too(capsule: Path) -> None:
    assert locked(capsule, WHOLE, "provenance") == (0, "")
    beside = capsule.with_name("app.tar.gz.provenance.json")
    beside.unlink()
    said = "lock-missing: missing is locked and not packed: missing==1.0"
    assert locked(capsule, f"{WHOLE}missing==1.0\n", "provenance") == (1, f"{said} ({capsule.parent}/lock.txt:8)")
    assert not beside.exists()


def test_a_wheel_that_is_known_is_held_against_the_locks_hashes(capsule: Path) -> None:
    """As the action has it, which knows the wheels: a capsule does not keep their hashes."""
    right, wrong = "a" * 64, "b" * 64
    text = "".join(f"{name}=={version} --hash=sha256:{right} --hash=sha512:{'c' * 128}\n" for name, version in METADATA)
    lock = read_requirements("lock.txt", lambda _path: text.encode())
    packed = read_packed(os.fspath(capsule))
    assert lock_problems(packed, lock, "linux_x86_64", {"core-part": right, "nowhere": wrong}) == []
    (problem,) = lock_problems(packed, lock, "linux_x86_64", {"core-part": wrong, "tool": right})
    assert problem.code == "lock-hash"
    assert problem.message == (
        f"core-part 2.0+local.1 is packed of a wheel that has another hash than its line: sha256:{wrong} (lock.txt:2)"
    )
    (problem,) = lock_problems(
        packed,
        read_requirements("lock.txt", lambda _path: text.replace("4.1", "4.2").encode()),
        "linux_x86_64",
        {"tool": wrong},
    )
    assert problem.code == "lock-version", "another version has another hash, too"


def test_a_lock_that_cannot_be_read_is_wrong_usage(capsule: Path) -> None:
    assert capsbuild("sbom", capsule, "--lock", capsule.parent / "none.txt").status == 2
    assert capsbuild("sbom", capsule, "--platform", "amiga").status == 2
