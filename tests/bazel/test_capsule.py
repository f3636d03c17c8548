"""What `capsule` makes and refuses: outputs, groups, the copy under the real name, stamps, the same bytes again."""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
import subprocess

import pytest

from tests.bazel.harness import Bazel, read_listing

MARK = "\N{WHITE HEAVY CHECK MARK}"


def test_the_outputs_agree_with_each_other_and_with_tar(bazel: Bazel, tmp_path: pathlib.Path) -> None:
    bazel.build("//apps/one:capsule")
    listing = bazel.output("apps/one:capsule.contents").read_bytes()
    capsule_id = bazel.output("apps/one:capsule.id").read_text()
    metadata = json.loads(bazel.output("apps/one:capsule.metadata.json").read_text())
    assert capsule_id == hashlib.sha256(listing).hexdigest() + "\n"
    assert set(read_listing(listing.decode())) == {"capsule.yml", "main.sh", "note.txt"}

    subprocess.run(["tar", "xzf", bazel.output("apps/one:capsule.tar.gz"), "-C", tmp_path], check=True)
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", ".capsule_contents"], cwd=tmp_path, check=True)
    assert (tmp_path / ".capsule_contents").read_bytes() == listing
    assert json.loads((tmp_path / ".capsule_metadata.json").read_text()) == metadata
    assert capsule_id.strip() in json.dumps(metadata)
    assert [layer["name"] for layer in metadata["layers"]] == ["app"]


@pytest.mark.parametrize(
    ("group", "files"),
    [
        ("id", {"capsule.id"}),
        ("contents", {"capsule.contents"}),
        ("metadata", {"capsule.metadata.json"}),
        ("layers", {"capsule.layers/app.fragment", "capsule.layers/app.contents", "capsule.layers/app.index"}),
    ],
)
def test_output_groups_name_their_files(bazel: Bazel, group: str, files: set[str]) -> None:
    said = bazel.build("//apps/one:capsule", f"--output_groups={group}")
    assert set(re.findall(r"^  bazel-bin/apps/one/(\S+)$", said, re.M)) == files


def test_the_own_layer_stands_in_nobodys_way(bazel: Bazel) -> None:
    bazel.build("//layers:capsule", "//layers:capsule.app")


def test_the_layers_of_a_capsule_stand_in_the_metadata_in_order(bazel: Bazel) -> None:
    bazel.build("//layers:capsule")
    metadata = json.loads(bazel.output("layers:capsule.metadata.json").read_text())
    assert [layer["name"] for layer in metadata["layers"]] == ["app", "alpha", "beta", "gamma"]


def test_no_label_no_division_and_no_level_changes_the_id(bazel: Bazel) -> None:
    bazel.build("//apps/one:capsule", "//two:another_name")
    assert bazel.output("apps/one:capsule.id").read_text() == bazel.output("two:another_name.id").read_text()


def test_no_name_of_bazel_enters_the_archive(bazel: Bazel, tmp_path: pathlib.Path) -> None:
    bazel.build("//layout:everything")
    subprocess.run(["tar", "xzf", bazel.output("layout:everything.tar.gz"), "-C", tmp_path], check=True)
    names = "\n".join(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    text = names.encode() + b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for name in (b"bazel-out", b"external", b"@", b"other/", b"shop", str(bazel.workspace).encode()):
        assert name not in text


def test_the_strategy_and_the_number_of_jobs_change_no_byte(bazel: Bazel) -> None:
    archives = set()
    for options in (["linux-sandbox", "--jobs=1"], ["local", "--jobs=4"]):
        bazel.run("clean")
        strategies = [f"--strategy={mnemonic}={options[0]}" for mnemonic in ("CapsuleLayer", "CapsuleAssemble")]
        assert bazel.actions("//layout:everything", *strategies, *options[1:])
        archives.add(bazel.output("layout:everything.tar.gz").read_bytes())
    assert len(archives) == 1


def test_names_may_hold_spaces_and_any_script(bazel: Bazel) -> None:
    names = ["two words.txt", "\N{GREEK SMALL LETTER OMEGA}.txt", "100%.txt", "a&b=c.txt"]
    files = [bazel.workspace / "layers/gamma" / name for name in names]
    for file in files:
        file.write_text(file.name)
    try:
        assert set(bazel.listing("//layers:gamma")) == {f"gamma/{name}" for name in [*names, "gamma.txt"]}
    finally:
        for file in files:
            file.unlink()


# Refusals


def test_the_same_path_with_the_same_content_is_fine(bazel: Bazel) -> None:
    assert bazel.listing("//conflicts:agreeing")["settings.txt"] == "file"


def test_the_same_path_with_different_content_is_refused_with_both_owners(bazel: Bazel) -> None:
    said = bazel.refuses("//conflicts:conflicting")
    assert "settings.txt" in said
    assert "//conflicts:first" in said
    assert "//conflicts:different" in said
    assert "Traceback" not in said


def test_a_conflict_within_a_layer_names_both_files(bazel: Bazel) -> None:
    said = bazel.refuses("//conflicts:within")
    assert "conflicts/a.txt" in said
    assert "conflicts/b.txt" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("target", "place"), [("link_for_manifest", "capsule.yml"), ("directory_for_file", "main.sh")])
def test_what_would_be_dropped_for_another_is_refused(bazel: Bazel, target: str, place: str) -> None:
    said = bazel.refuses(f"//conflicts:{target}")
    assert f"ERROR: Two sources for {place}: " in said
    assert "Traceback" not in said


def test_an_absent_entrypoint_is_refused(bazel: Bazel) -> None:
    assert "ERROR: Entrypoint not found: bin/absent.sh" in bazel.refuses("//refusals:no_entrypoint")


def test_a_bad_manifest_is_refused_with_its_position(bazel: Bazel) -> None:
    said = bazel.refuses("//refusals:bad_manifest")
    assert re.search(r"refusals/bad\.yml:5(:\d+)?: ", said)
    assert "Traceback" not in said


# bazel run


def test_run_copies_the_capsule_out_under_its_real_name(bazel: Bazel, tmp_path: pathlib.Path) -> None:
    said = bazel.run("run", "//apps/one:capsule", "--", "--output-dir", str(tmp_path / "new/dist")).stdout
    capsule_id = bazel.output("apps/one:capsule.id").read_text().strip()
    copied = tmp_path / f"new/dist/capsule-shop-front-{capsule_id[:12]}.tar.gz"
    assert list(copied.parent.iterdir()) == [copied]
    assert copied.read_bytes() == bazel.output("apps/one:capsule.tar.gz").read_bytes()
    assert copied.stat().st_mode & 0o200, "a copy is the user's own file, not Bazel's read-only one"
    size = f"{copied.stat().st_size / 1e6:.2f}"
    assert said.splitlines()[-3:] == [
        f"{MARK} Capsule built successfully: {copied}",
        f"   BUILD_SHA: {capsule_id}",
        f"   Size: {size} MB",
    ]


@pytest.mark.parametrize("name", ["in/a/directory", "it's"])
def test_run_works_whatever_the_target_is_called(bazel: Bazel, tmp_path: pathlib.Path, name: str) -> None:
    bazel.run("run", f"//apps/one:{name}", "--", "--output-dir", str(tmp_path))
    (copy,) = tmp_path.iterdir()
    assert copy.read_bytes() == bazel.output(f"apps/one:{name}.tar.gz").read_bytes()


def test_a_relative_output_dir_is_the_users(bazel: Bazel) -> None:
    try:
        bazel.run("run", "//apps/one:capsule", "--", "--output-dir=dist")
        assert [path.suffixes for path in (bazel.workspace / "dist").iterdir()] == [[".tar", ".gz"]]
        bazel.run("run", "//apps/one:capsule", "--", "--output-dir=dist")  # an older copy is no obstacle
    finally:
        subprocess.run(["rm", "-rf", bazel.workspace / "dist"], check=True)


def test_the_launcher_explains_itself_and_refuses_what_it_does_not_know(bazel: Bazel) -> None:
    assert "usage:" in bazel.run("run", "//apps/one:capsule", "--", "--help").stdout
    launcher = bazel.output("apps/one:capsule")
    for arguments in (["--output-dir"], ["--output-dir="], ["--frobnicate"], ["dist"]):
        result = subprocess.run([launcher, *arguments], capture_output=True, text=True)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("ERROR: ")


# Stamps


def build_facts(bazel: Bazel, label: str) -> dict[str, str | None]:
    build: dict[str, str | None] = json.loads(bazel.output(label + ".metadata.json").read_text())["build"]
    return build


def test_an_unstamped_capsule_says_nothing_of_its_build(bazel: Bazel) -> None:
    bazel.build("//apps/one:capsule", "//apps/one:never_stamped", "--nostamp")
    assert set(build_facts(bazel, "apps/one:capsule").values()) == {None}
    bazel.build("//apps/one:never_stamped", "--stamp")
    assert set(build_facts(bazel, "apps/one:never_stamped").values()) == {None}


def test_a_stamp_changes_the_metadata_and_never_the_id(bazel: Bazel) -> None:
    bazel.build("//apps/one:capsule", "--nostamp")
    unstamped = bazel.output("apps/one:capsule.id").read_text()
    bazel.build("//apps/one:capsule", "//apps/one:stamped", "--stamp")
    for label in ("apps/one:capsule", "apps/one:stamped"):
        assert None not in build_facts(bazel, label).values()
        assert bazel.output(label + ".id").read_text() == unstamped


def test_source_date_epoch_is_the_time_of_a_stamp(bazel: Bazel) -> None:
    (bazel.workspace / "apps/one/note.txt").write_text("another note\n")  # a new time alone is no reason to rebuild
    try:
        bazel.run("build", "//apps/one:stamped", env={"SOURCE_DATE_EPOCH": "1000000000"})
        assert "2001-09-09T01:46:40Z" in build_facts(bazel, "apps/one:stamped").values()
    finally:
        (bazel.workspace / "apps/one/note.txt").write_text("note\n")


def test_the_manifest_takes_the_place_of_another_capsule_yml_and_says_so(bazel: Bazel) -> None:
    said = bazel.build("//conflicts:two_manifests")
    assert "WARNING: conflicts/a.txt is left out: conflicts/capsule.yml takes its place as capsule.yml" in said
    archive = bazel.output("//conflicts:two_manifests.tar.gz")
    packed = subprocess.run(["tar", "xzOf", archive, "capsule.yml"], check=True, stdout=subprocess.PIPE).stdout
    assert packed == (bazel.workspace / "conflicts/capsule.yml").read_bytes()


def test_what_the_manifest_names_as_executable_a_layer_has_to_name_too(bazel: Bazel) -> None:
    said = bazel.refuses("//refusals:unmarked")
    assert (
        "ERROR: The manifest names an executable that its layer did not make one: note.txt (//refusals:plain_note)\n"
        "  Give that layer the same patterns: executables = [...]."
    ) in said
    assert bazel.listing("//refusals:marked")["note.txt"] == "exec"


def test_what_only_a_layer_names_as_executable_is_told(bazel: Bazel) -> None:
    assert (
        "WARNING: Executable by a pattern of its layer alone: note.txt (//refusals:executable_note)\n"
        "  Name it under executables in the manifest too, so that capsbuild gives the same ID."
    ) in bazel.build("//refusals:unnamed")
    packed = ["tar", "xzOf", bazel.output("//refusals:unnamed.tar.gz"), ".capsule_index"]
    assert b"# named" not in subprocess.run(packed, check=True, stdout=subprocess.PIPE).stdout
    assert "by a pattern" not in bazel.build("//refusals:marked")


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("dangling", "Link points to nothing in the capsule: link -> nowhere"),
        ("escaping", "Link leaves the tree: link -> ../out"),
        ("cycle", "Link leads to itself, or through more than 40 links: link -> link"),
    ],
)
def test_a_link_that_leads_out_or_nowhere_is_refused(bazel: Bazel, name: str, refusal: str) -> None:
    assert f"ERROR: {refusal}\n" in bazel.refuses(f"//refusals:link_{name}")
