"""A user's own builder takes the place of ours, and gets the command line that is written down in ``rules/private``."""

from __future__ import annotations

import re

import pytest

from tests.bazel.harness import Bazel
from tests.bazel.wheels import NATIVE

CUSTOM = "--extra_toolchains=//custom:toolchain"
LETTER = "--letter=\N{LATIN SMALL LETTER E WITH ACUTE}".encode().decode("latin-1")  # as Bazel 4 writes it
STATUS = [
    "--stable-status",
    "bazel-out/stable-status.txt",
    "--volatile-status",
    "bazel-out/volatile-status.txt",
]


def asked(bazel: Bazel, label: str, output: str, *options: str) -> list[str]:
    bazel.build(label, CUSTOM, *options)
    return [re.sub(r"bazel-out/[^/]+/bin", "BIN", line) for line in bazel.output(output).read_text().splitlines()]


def test_a_layer_is_asked_for_in_one_params_file(bazel: Bazel) -> None:
    assert asked(bazel, "//layout:below", "layout:below.fragment") == [
        "layer",
        LETTER,
        "--fragment",
        "BIN/layout/below.fragment",
        "--contents",
        "BIN/layout/below.contents",
        "--index",
        "BIN/layout/below.index",
        "--level=6",
        "--workspace-name=shop",
        "--package-dir=opt/app",
        "--strip-prefix=layout",
        "--symlink=current\tmain.sh",
        "--empty-dir=var/log",
        "src\tlayout/main.sh\tlayout/main.sh",
        "rename\tlayout/assets/logo.txt\tbrand/mark.txt",
    ]


def test_runfiles_are_asked_for_file_by_file(bazel: Bazel) -> None:
    lines = asked(bazel, "//programs:capsule", "programs:capsule.layers/app.fragment")
    program = lines[lines.index("binary\tprograms/links\t") :]
    assert program[: program.index("binary\tapps/one/capsule\t")] == [
        "binary\tprograms/links\t",
        "run\tBIN/programs/links\tprograms/links",
        "runlink\texternal/other/lib/words.txt\tlinked/words.txt",
        "runlink\tBIN/programs/tree/in/deep/one.txt\tlinked/tree/in/deep/one.txt",
        "runlink\tBIN/programs/tree/in/three.sh\tlinked/tree/in/three.sh",
        "runlink\tBIN/programs/tree/two.txt\tlinked/tree/two.txt",
        "runroot\texternal/other/lib/words.txt\tat_the_root/words.txt",
    ]
    assert "src\tBIN/external/other/lib/tool\t../other/lib/tool" in lines
    assert "src\tBIN/programs/aside\tprograms/aside" in lines  # which is no output of its rule


def test_an_environment_is_asked_for_wheel_by_wheel(bazel: Bazel) -> None:
    stem = f"cherry-2.1-{NATIVE}"
    place = "environments:with_interpreter.layers"
    (bazel.workspace / "environments/interpreter/bin").mkdir(parents=True, exist_ok=True)
    program = bazel.workspace / "environments/interpreter/bin/python3.11"
    program.touch()
    lines = asked(bazel, "//environments:with_interpreter", f"{place}/{stem}.fragment")
    assert lines[: lines.index("--bytecode=") + 1] == [
        "wheel",
        LETTER,
        *environment_outputs(f"with_interpreter.layers/{stem}", "manylinux_2_99_x86_64"),
        f"--wheel=environments/wheels/{stem}.whl",
        "--facts",
        f"BIN/environments/with_interpreter.layers/{stem}.facts",
        "--executable=*.txt",
        "--bytecode=",
    ]
    path = "environments/interpreter/bin/python3.11"
    assert f"interpreter\t{path}\t{path}" in lines
    lines = asked(bazel, "//environments:with_interpreter", f"{place}/interpreter.fragment")
    assert (
        lines[:10]
        == [
            "interpreter",
            LETTER,
            *environment_outputs("with_interpreter.layers/interpreter", "manylinux_2_99_x86_64"),
        ][:10]
    )
    assert f"interpreter\t{path}\t{path}" in lines


def test_the_base_of_an_environment_is_asked_for_with_all_facts_and_requirements(bazel: Bazel) -> None:
    assert asked(bazel, "//environments:python", "environments:python.layers/python.fragment") == [
        "python-base",
        LETTER,
        *environment_outputs("python.layers/python"),
        "--facts",
        "BIN/environments/python.layers/bananas-1.0-py3-none-any.facts",
        "--facts",
        f"BIN/environments/python.layers/cherry-2.1-{NATIVE}.facts",
        "requirements\tenvironments/requirements.txt\tenvironments/requirements.txt",
        "requirements\tenvironments/constraints.txt\tenvironments/constraints.txt",
    ]


@pytest.mark.parametrize(("option", "status"), [("--nostamp", []), ("--stamp", STATUS)])
def test_the_assembly_is_asked_for_in_one_params_file(bazel: Bazel, option: str, status: list[str]) -> None:
    lines = asked(bazel, "//conflicts:agreeing", "conflicts:agreeing.tar.gz", option)
    assert lines == [
        "assemble",
        LETTER,
        "--archive",
        "BIN/conflicts/agreeing.tar.gz",
        "--id",
        "BIN/conflicts/agreeing.id",
        "--metadata",
        "BIN/conflicts/agreeing.metadata.json",
        "--listing",
        "BIN/conflicts/agreeing.contents",
        "--file-name",
        "BIN/conflicts/agreeing.file_name",
        "--level=6",
        "--manifest=conflicts/capsule.yml",
        *status,
        *layer("app", "agreeing", "agreeing.layers/app"),
        *layer("first", "first", "first"),
        *layer("same_again", "same_again", "same_again"),
    ]


def environment_outputs(stem: str, platform: str = "manylinux_2_28_x86_64") -> list[str]:
    outputs = [
        line for kind in ("fragment", "contents", "index") for line in (f"--{kind}", f"BIN/environments/{stem}.{kind}")
    ]
    return [*outputs, "--level=6", "--python=3.11", f"--platform={platform}"]


def layer(name: str, owner: str, outputs: str) -> list[str]:
    files = [f"BIN/conflicts/{outputs}.{kind}" for kind in ("fragment", "contents", "index")]
    return [f"--layer={name}", f"//conflicts:{owner}", *files]


@pytest.mark.parametrize("group", ["provenance", "sbom"])
def test_statements_are_asked_for_with_the_lock_and_the_facts_of_wheels(bazel: Bazel, group: str) -> None:
    output = f"environments:locked_exact{'.provenance.json' if group == 'provenance' else '.cdx.json'}"
    facts = "BIN/environments/unchecked.layers"
    assert asked(bazel, "//environments:locked_exact", output, f"--output_groups={group}") == [
        group,
        LETTER,
        "--archive",
        "BIN/environments/locked_exact.tar.gz",
        "--output",
        f"BIN/{output.replace(':', '/')}",
        "--platform=manylinux_2_28_x86_64",
        "--facts",
        f"{facts}/bananas-1.0-py3-none-any.facts",
        "--facts",
        f"{facts}/cherry-2.1-{NATIVE}.facts",
        "requirements\tenvironments/exact.txt\tenvironments/exact.txt",
    ]


def test_statements_of_a_capsule_without_an_environment_are_asked_for_in_short(bazel: Bazel) -> None:
    lines = asked(bazel, "//conflicts:agreeing", "conflicts:agreeing.cdx.json", "--output_groups=sbom")
    assert lines == [
        "sbom",
        LETTER,
        "--archive",
        "BIN/conflicts/agreeing.tar.gz",
        "--output",
        "BIN/conflicts/agreeing.cdx.json",
    ]
