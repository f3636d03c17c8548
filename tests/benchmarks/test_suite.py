"""The benchmarks run, and judge what they measure as it is."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks.cases import CASES
from benchmarks.cases.scaling import Line
from benchmarks.measure import Contender, compare, run
from benchmarks.ours import has_cache
from benchmarks.report import Result, Target, fill_readme, write, write_targets

REPOSITORY = Path(__file__).resolve().parents[2]
IN_BAZEL = ("bazel", "layers", "analysis")


@pytest.mark.parametrize("cases", [tuple(set(CASES) - set(IN_BAZEL)), IN_BAZEL], ids=["command_line", "bazel"])
def test_every_case_runs_and_says_what_it_measured(cases: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--results", tmp_path, *cases]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    summary = (tmp_path / "targets.md").read_text()
    for case in cases:
        document = json.loads((tmp_path / f"{case}.json").read_text())
        measured = document["rows"] or document["measured"]
        assert all(row["wall"] > 0 and len(row["walls"]) == 1 for row in measured), case
        text = (tmp_path / f"{case}.md").read_text()
        for row in measured:
            assert f"| {row['name']} " in text or f"| **{row['name']}** " in text
        for target in document["targets"]:
            assert f"| [{case}]({case}.md) | {target['claim']} | " in summary
            assert (target["figure"] is None) == (case == "unchanged" and not has_cache())
    for plot in tmp_path.glob("*.svg"):
        assert ElementTree.parse(plot).getroot().tag.endswith("svg")
    assert len(list(tmp_path.glob("*.svg"))) == (2 if "scaling" in cases else 1)


def test_a_target_is_met_when_the_figure_says_so() -> None:
    assert Target("a", 2.0, most=2).met
    assert not Target("a", 2.1, most=2).met
    assert Target("a", 12.0, least=12).met
    assert not Target("a", 11.9, least=12).met
    assert not Target("a", 3, least=2, most=2).met
    assert not Target("a", None, most=2).met
    assert Target("a", None, most=2).line("c") == "| c | a | ≤ 2 × | not measured | **no** |"
    assert Target("a", 2, "", least=2, most=2).line("c") == "| c | a | = 2 | 2 | yes |"


def test_a_line_is_fitted() -> None:
    line = Line.through([(1, 12), (2, 14), (4, 18)])
    assert (line.base, line.slope, line.fit) == pytest.approx((10, 2, 1))
    assert Line.through([(1, 1), (2, 5), (3, 1)]).fit == pytest.approx(0)


def test_memory_and_cpu_are_those_of_all_processes_of_a_command() -> None:
    hungry = f"{sys.executable} -c \"x = b'x' * (200 << 20); y = sum(range(10**7))\" | cat"
    sample, small = run(hungry), run("true")
    assert 200 << 20 < (sample.memory or 0) < 300 << 20
    assert (small.memory or 0) < 20 << 20
    assert (sample.cpu or 0) > (small.cpu or 0) + 0.05
    assert sample.wall >= 0.1


def test_a_command_that_fails_in_a_pipe_ends_the_benchmark() -> None:
    with pytest.raises(SystemExit, match="no such thing"):
        run("(echo no such thing >&2; false) | cat")


def test_contenders_take_turns(tmp_path: Path) -> None:
    order: list[str] = []
    contenders = [
        Contender(name, f"printf {name} >{{out}}", prepare=lambda name=name: order.append(name), rounds=rounds)
        for name, rounds in (("a", 9), ("bb", 1), ("ccc", 9))
    ]
    rows = compare(contenders, 3, tmp_path)
    assert order == ["a", "bb", "ccc", "a", "ccc", "a", "ccc"]
    assert [(row.name, row.size, len(row.walls)) for row in rows] == [("a", 1, 3), ("bb", 2, 1), ("ccc", 3, 3)]


def test_the_readme_gets_the_figures_and_keeps_the_rest(tmp_path: Path) -> None:
    readme, results = tmp_path / "README.md", tmp_path / "benchmarks/results"
    results.mkdir(parents=True)
    case = Result("The table", 1, targets=[Target("speed", 3.0, least=2.0)])
    write(results, "one", case, {"date": "2026-01-01", "summary": "a machine"})
    readme.write_text((REPOSITORY / "README.md").read_text())
    before = readme.read_text()
    targets = write_targets(results, ["none", "one"])
    for _ in range(2):
        fill_readme(readme, results, "one", targets)
        text = readme.read_text()
        begin, end = text.index("<!-- figures of ./dev bench: begin"), text.index("<!-- figures of ./dev bench: end")
        assert before.startswith(text[:begin]) and before.endswith(text[end:])
        assert "\nThe table. Medians of 1 rounds in one run, 2026-01-01; a machine.\n\nM" in text[begin:end]
        assert text[begin:end].count("Measured 2026-01-01; a machine.\n") == 1
        assert "| [one](benchmarks/results/one.md) | speed | ≥ 2 × | 3 × | yes |" in text[begin:end]
