"""Where files go: each test is one layer of ``workspaces/shop/layout/BUILD``, in its order."""

from __future__ import annotations

from tests.bazel.harness import Bazel


def test_a_file_keeps_its_path_below_the_package_and_foreign_files_their_own(bazel: Bazel) -> None:
    assert bazel.listing("//layout:plain") == {
        "assets/deep/leaf.txt": "file",
        "assets/logo.txt": "file",
        "lib/words.txt": "file",  # @other//lib:words.txt
        "made/here.txt": "file",  # generated
        "main.sh": "exec",
        "tree/in/deep/one.txt": "file",
        "tree/in/three.sh": "exec",
        "tree/two.txt": "file",
        "two/note.txt": "file",  # //two:note.txt
    }


def test_everything_goes_below_package_dir(bazel: Bazel) -> None:
    assert bazel.listing("//layout:below") == {
        "opt/app/brand/mark.txt": "file",
        "opt/app/current": "-> main.sh",
        "opt/app/main.sh": "exec",
        "opt/app/var/log": "dir",
    }


def test_strip_prefix_is_relative_to_the_package_or_from_the_root(bazel: Bazel) -> None:
    labels = [f"//layout:strip_{form}" for form in ("relative", "package", "nothing", "from_root", "tree")]
    bazel.build(*labels)
    assert [sorted(bazel.listing(label)) for label in labels] == [
        ["deep/leaf.txt", "logo.txt"],
        ["assets/deep/leaf.txt", "assets/logo.txt"],
        ["layout/assets/deep/leaf.txt", "layout/assets/logo.txt"],
        ["deep/leaf.txt", "logo.txt"],
        ["vendor/in/deep/one.txt", "vendor/in/three.sh", "vendor/two.txt"],
    ]


def test_a_file_outside_of_a_stated_prefix_is_an_error(bazel: Bazel) -> None:
    said = bazel.refuses("//layout:strip_too_much")
    assert "File is not below strip_prefix layout/assets: layout/main.sh" in said
    assert "Traceback" not in said


def test_renames_place_files_and_directories_and_prevail_over_srcs(bazel: Bazel) -> None:
    assert bazel.listing("//layout:renamed") == {
        "assets/logo.txt": "file",
        "bin/start": "exec",
        "file.txt": "file",
        "whole/tree/in/deep/one.txt": "file",
        "whole/tree/in/three.sh": "exec",
        "whole/tree/two.txt": "file",
    }


def test_a_rename_of_several_files_is_refused_with_a_remedy(bazel: Bazel) -> None:
    said = bazel.refuses("//layout:renamed_several")
    assert "//layout:several has 2 outputs, and only one can go to" in said
    assert "package_dir and strip_prefix" in said


def test_modes_come_from_content_and_patterns_not_from_disk(bazel: Bazel) -> None:
    logo = bazel.workspace / "layout/assets/logo.txt"
    logo.chmod(0o777)
    try:
        assert bazel.listing("//layout:modes") == {
            "assets/deep/leaf.txt": "exec",
            "assets/logo.txt": "file",
            "main.sh": "exec",
        }
    finally:
        logo.chmod(0o644)


def test_a_made_directory_is_its_files_and_its_links_are_what_they_lead_to(bazel: Bazel) -> None:
    assert bazel.listing("//layout:link_to_file") == {
        "to_file/empty_too": "dir",  # from empty_dirs; the one that the action made is lost
        "to_file/link": "file",
        "to_file/real/one.txt": "file",
    }


def test_a_link_to_a_directory_in_a_made_directory_is_refused(bazel: Bazel) -> None:
    said = bazel.refuses("//layout:link_to_directory")
    assert "Not a regular file, but a directory: to_directory/link" in said
    assert "Traceback" not in said


def test_no_way_leads_out_of_the_capsule(bazel: Bazel) -> None:
    assert '".." has no place in "../elsewhere"' in bazel.refuses("//layout:upwards")


def test_a_capsule_is_its_own_layer_its_manifest_and_its_layers(bazel: Bazel) -> None:
    listing = bazel.listing("//layout:everything")
    assert listing["capsule.yml"] == "file"
    assert listing["whole/in/three.sh"] == "exec"
    assert listing["opt/app/current"] == "-> main.sh"
    assert listing["two/note.txt"] == "file"


def test_a_layer_may_be_empty(bazel: Bazel) -> None:
    assert bazel.listing("//refusals:empty") == {}


def test_a_filegroup_of_one_file_is_no_program(bazel: Bazel) -> None:
    assert bazel.listing("//layout:grouped") == {"assets/logo.txt": "file"}


def test_a_source_directory_is_refused(bazel: Bazel) -> None:
    assert "Not a regular file, but a directory: directory" in bazel.refuses("//refusals:source_directory")
