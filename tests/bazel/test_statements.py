"""The output groups ``provenance`` and ``sbom``: what was packed, and nothing for those who do not ask."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.bazel.harness import Bazel
from tests.capsbuild.command import capsbuild
from tests.determinism import casd, pythons
from tests.provenance.slsa import check_provenance

SUFFIXES = {"provenance": ".provenance.json", "sbom": ".cdx.json"}
BOTH = "--output_groups=provenance,sbom"
LOCKED = "//environments:locked_exact"


def by_command(archive: pathlib.Path, command: str, tmp_path: pathlib.Path, *options: str) -> bytes:
    """What the command line says of an archive."""
    place = tmp_path / command
    ran = capsbuild(command, archive, "--output", place, *options)
    assert ran.status == 0, ran.err
    return place.read_bytes()


@pytest.mark.parametrize("label", ["//apps/one:capsule", "//apps/one:stamped", "//environments:capsule", LOCKED])
def test_they_are_the_bytes_that_the_command_line_writes(bazel: Bazel, tmp_path: pathlib.Path, label: str) -> None:
    bazel.build(label, "--output_groups=+provenance,+sbom")
    archive = bazel.output(label + ".tar.gz")
    for group, suffix in SUFFIXES.items():
        assert bazel.output(label + suffix).read_bytes() == by_command(archive, group, tmp_path)
    check_provenance(json.loads(bazel.output(label + SUFFIXES["provenance"]).read_bytes()))


def test_they_name_what_was_packed(bazel: Bazel) -> None:
    bazel.build("//environments:capsule", BOTH)
    bom = json.loads(bazel.output("environments:capsule.cdx.json").read_bytes())
    assert [part["purl"] for part in bom["components"]] == ["pkg:pypi/bananas@1.0", "pkg:pypi/cherry@2.1"]
    statement = json.loads(bazel.output("environments:capsule.provenance.json").read_bytes())
    definition = statement["predicate"]["buildDefinition"]
    assert [each["name"] for each in definition["resolvedDependencies"]] == ["bananas", "cherry"]
    assert definition["externalParameters"]["requirements"] == "verified"
    capsule_id = bazel.output("environments:capsule.id").read_text().strip()
    assert statement["subject"][1]["digest"] == {"sha256": capsule_id}


def test_each_is_one_action_and_only_for_those_who_ask(bazel: Bazel) -> None:
    label = "//apps/one:never_stamped"
    main = bazel.workspace / "apps/one/main.sh"
    before = main.read_text()
    main.write_text(before + f"# {os.getpid()}\n")
    try:
        assert bazel.actions(label) == {
            f"Packing layer app of {label}": 1,
            f"Assembling capsule {label}": 1,
        }
        assert bazel.actions(label, "--output_groups=provenance") == {f"Writing the provenance of capsule {label}": 1}
        assert bazel.actions(label, "--output_groups=sbom") == {f"Writing the SBOM of capsule {label}": 1}
        assert not bazel.actions(label, BOTH)
    finally:
        main.write_text(before)


def test_what_writes_them_is_no_input_of_other_actions(bazel: Bazel) -> None:
    def inputs(mnemonic: str) -> str:
        text = bazel.run("aquery", f"mnemonic('^{mnemonic}$', //environments:capsule)").stdout
        return " ".join(re.findall(r"^  Inputs: (.*)$", text, re.M))

    assert "capsule_builder/actions/statement.py" in inputs("CapsuleProvenance")
    assert "cyclonedx" in inputs("CapsuleSbom")
    assert "rules_capsule_sbom" not in inputs("CapsuleProvenance")
    for mnemonic in ("CapsuleLayer", "CapsuleAssemble"):
        found = inputs(mnemonic)
        assert "capsule_builder/actions/main.py" in found
        assert not re.search("rules_capsule_sbom|statement|_reader|provenance|sbom", found)


# The lock


@pytest.mark.parametrize("group", SUFFIXES)
def test_a_capsule_that_is_not_what_the_lock_names_is_refused(bazel: Bazel, group: str) -> None:
    bazel.build("//environments:locked_cherry")  # the capsule itself does not depend on the lock
    said = bazel.refuses("//environments:locked_cherry", f"--output_groups={group}")
    assert "ERROR: bananas 1.0 is packed and not locked\n" in said
    assert "ERROR: environments/cherry.txt:1: names no exact version: cherry\n" in said
    assert "Traceback" not in said


def test_a_wheel_with_another_hash_than_the_locks_is_refused(bazel: Bazel) -> None:
    said = bazel.refuses("//environments:locked_hash", BOTH)
    assert re.search(
        r"ERROR: bananas 1\.0 is packed of a wheel that has another hash than its line: sha256:[0-9a-f]{64} "
        r"\(environments/hash\.txt:1\)\n  Find out where the other file came from",
        said,
    )
    assert "ERROR: cherry" not in said


@pytest.mark.parametrize(
    ("lock", "complaint"),
    [
        ("unlocked_lock", "is locked and not packed"),
        ("requirements", "The attribute lock takes one file, with all that is locked in it."),
    ],
)
def test_what_is_no_lock_of_this_capsule_is_refused(bazel: Bazel, lock: str, complaint: str) -> None:
    assert complaint in bazel.refuses(f"//environments:locked_{lock}", "--output_groups=provenance")


def test_real_wheels_are_what_the_lock_that_they_were_fetched_by_names(bazel: Bazel) -> None:
    bazel.build("//environments:fetched_capsule", BOTH)
    bom = json.loads(bazel.output("environments:fetched_capsule.cdx.json").read_bytes())
    assert "ruamel-yaml" in {part["name"] for part in bom["components"]}
    assert all(part["licenses"] for part in bom["components"])


def test_a_change_of_the_lock_packs_nothing(bazel: Bazel) -> None:
    bazel.build(LOCKED)
    bazel.build(LOCKED, BOTH)
    lock = bazel.workspace / "environments/exact.txt"
    before = lock.read_text()
    lock.write_text(before + "# changed\n")
    try:
        assert not bazel.actions(LOCKED)
        assert len(bazel.actions(LOCKED, BOTH)) == 2
    finally:
        lock.write_text(before)


# Anywhere


def test_they_are_written_in_a_sandbox_and_remotely_with_the_same_bytes(bazel: Bazel, tmp_path: pathlib.Path) -> None:
    def written(*options: str) -> list[bytes]:
        bazel.build(LOCKED, "--output_groups=+provenance,+sbom", *options)
        return [bazel.output(LOCKED + suffix).read_bytes() for suffix in SUFFIXES.values()]

    def again() -> None:
        for suffix in SUFFIXES.values():
            bazel.output(LOCKED + suffix).unlink()

    reference = written("--spawn_strategy=sandboxed")
    with casd.running(tmp_path / "cache") as address:
        again()
        assert written(f"--remote_executor={address}", "--spawn_strategy=remote") == reference
    again()
    assert written("--spawn_strategy=local") == reference


@pytest.mark.parametrize("python", pythons.found().values())
def test_the_builders_python_changes_no_byte(bazel: Bazel, tmp_path: pathlib.Path, python: str) -> None:
    bazel.build(LOCKED, "--output_groups=+provenance,+sbom", f"--repo_env=CAPSULE_PYTHON={python}")
    archive = bazel.output(LOCKED + ".tar.gz")
    for group, suffix in SUFFIXES.items():
        assert bazel.output(LOCKED + suffix).read_bytes() == by_command(archive, group, tmp_path)


# The library


@pytest.fixture
def without_library(bazel: Bazel, tmp_path: pathlib.Path) -> Iterator[list[str]]:
    """Options for a Bazel whose pip finds the builder's packages, and none of those for SBOMs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    tools = tmp_path / "bin"
    tools.mkdir()
    pip = tools / "pip3"
    pip.write_text(
        "#!/bin/sh\n"
        "for last; do :; done\n"
        'if grep -q cyclonedx "$last"; then echo no such package >&2; exit 1; fi\n'
        f'exec {sys.executable} -m pip "$@"\n'
    )
    pip.chmod(0o755)
    yield [f"--repo_env=CAPSULE_PYTHON={tmp_path}/venv/bin/python", f"--repo_env=PATH={tools}:/usr/bin:/bin"]
    bazel.build("//apps/one:capsule", BOTH)


def test_who_cannot_install_the_library_builds_all_but_sboms(bazel: Bazel, without_library: list[str]) -> None:
    label = "//apps/one:capsule"
    bazel.build(label, *without_library)
    bazel.build(label, "--output_groups=provenance", *without_library)
    said = bazel.refuses(label, "--output_groups=sbom", *without_library)
    assert "ERROR: The capsule builder's Python packages for SBOMs could not be installed for " in said
    assert "no such package" in said
    assert "`bazel sync --configure` (from Bazel 7 on `bazel fetch --configure`) tries again." in said


def test_a_toolchain_without_it_installs_nothing_for_it(bazel: Bazel) -> None:
    options = ["--extra_toolchains=//custom:lean_toolchain"]
    found = bazel.run("cquery", "deps(//apps/one:capsule)", *options).stdout
    assert "@rules_capsule_python//:site" in found
    assert "rules_capsule_sbom" not in found
    bazel.build("//apps/one:capsule", "--output_groups=provenance", *options)
    assert "ERROR: This program has no action sbom\n" in bazel.refuses(
        "//apps/one:capsule", "--output_groups=sbom", *options
    )
