"""What came out of a case, and how it is written down: Markdown and JSON, and the targets of all cases together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.measure import Row


@dataclass(frozen=True)
class Target:
    """What was promised of a figure: at least ``least`` or at most ``most``; the figure is None while it is lacking."""

    claim: str
    figure: float | None
    unit: str = "×"
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is as promised."""
        if self.figure is None:
            return False
        return (self.least is None or self.figure >= self.least) and (self.most is None or self.figure <= self.most)

    def line(self, case: str) -> str:
        """Its row of the table."""
        bound = f"≤ {self.most:g}" if self.least is None else f"≥ {self.least:g}"
        if self.least == self.most:
            bound = f"= {self.most:g}"
        figure = "not measured" if self.figure is None else f"{self.figure:.3g} {self.unit}"
        met = "yes" if self.met else "**no**"
        return f"| {case} | {self.claim} | {bound} {self.unit} | {figure} | {met} |".replace("  ", " ")


@dataclass(frozen=True)
class Result:
    """What came out of a case. ``rows`` are compared with the first; ``text`` is Markdown that goes below them."""

    title: str
    rounds: int
    rows: Sequence[Row] = ()
    targets: Sequence[Target] = ()
    text: str = ""
    facts: dict[str, object] = field(default_factory=dict)
    plots: dict[str, str] = field(default_factory=dict)


_HEAD = "| case | | target | measured | met |\n|---|---|---|---|---|\n"
_README_BEGIN, _README_END = "<!-- figures of ./dev bench: begin -->\n", "<!-- figures of ./dev bench: end -->\n"


def write(results: Path, name: str, result: Result, machine: dict[str, str]) -> str:
    """Writes a case's files into ``results``; gives its Markdown."""
    results.mkdir(parents=True, exist_ok=True)
    measured = f"Medians of {result.rounds} rounds in one run, {machine['date']}; {machine['summary']}."
    parts = [f"{result.title}. {measured}\n"]
    if result.rows:
        parts.append(table(result.rows))
    if result.text:
        parts.append(result.text)
    parts += [f"![{plot}]({plot})\n" for plot in result.plots]
    if result.targets:
        parts.append(_HEAD + "".join(f"{target.line(name)}\n" for target in result.targets))
    text = "\n".join(parts)
    document = {
        "case": name,
        "title": result.title,
        "machine": machine,
        "rounds": result.rounds,
        **result.facts,
        "rows": [asdict(row) for row in result.rows],
        "targets": [{**asdict(target), "met": target.met} for target in result.targets],
    }
    (results / f"{name}.md").write_text(text)
    (results / f"{name}.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    for plot, drawing in result.plots.items():
        (results / plot).write_text(drawing)
    return text


def table(rows: Sequence[Row]) -> str:
    """Rows as Markdown; columns of which nothing is known are left out."""
    first = rows[0]
    columns: list[tuple[str, list[str | int | None]]] = [
        ("", [row.name for row in rows]),
        ("wall", [seconds(row.wall) for row in rows]),
        ("spread", [seconds(row.spread) for row in rows]),
        ("× first", [f"{row.wall / first.wall:.2f}" for row in rows]),
        ("CPU", [None if row.cpu is None else seconds(row.cpu) for row in rows]),
        (
            "peak memory (largest process)",
            [None if row.memory is None else f"{row.memory / 2**20:.0f} MiB" for row in rows],
        ),
        ("size", [None if row.size is None else f"{row.size / 1e6:.1f} MB" for row in rows]),
        ("× first", [f"{row.size / first.size:.3f}" if row.size and first.size else None for row in rows]),
        ("runs", [str(len(row.walls)) for row in rows]),
    ]
    columns = [(head, cells) for head, cells in columns if not head or any(cells)]
    lines = ["| " + " | ".join(head for head, _ in columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(str(cells[number] or "") for _, cells in columns) + " |" for number in range(len(rows))]
    return "\n".join(lines) + "\n"


def seconds(value: float) -> str:
    """A time for people."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def write_targets(results: Path, order: Sequence[str]) -> str:
    """Writes ``targets.md`` of all cases that were ever measured into ``results``, in that order; gives its text."""
    lines: list[str] = []
    measured: dict[str, None] = {}
    for name in order:
        file = results / f"{name}.json"
        if not file.exists():
            continue
        document = json.loads(file.read_text())
        for entry in document["targets"]:
            entry.pop("met")
            lines.append(Target(**entry).line(f"[{name}]({name}.md)"))
            machine = document["machine"]
            measured[f"{machine['date']}; {machine['summary']}"] = None
    text = f"Measured {'; and '.join(measured)}.\n\n{_HEAD}" + "".join(f"{line}\n" for line in lines)
    (results / "targets.md").write_text(text)
    return text


def fill_readme(readme: Path, results: Path, case: str, targets: str) -> None:
    """Puts the table of one case, the targets and the plots between the README's two marks."""
    text = readme.read_text()
    begin, end = text.index(_README_BEGIN) + len(_README_BEGIN), text.index(_README_END)
    where = results.relative_to(readme.parent)
    shown = (results / f"{case}.md").read_text().split(f"\n{_HEAD}")[0]
    plots = "".join(f"![{plot.stem}]({where}/{plot.name})\n" for plot in sorted(results.glob("*.svg")))
    targets = targets.replace("](", f"]({where}/")
    readme.write_text(f"{text[:begin]}\n{shown}\n{targets}\n{plots}\n{text[end:]}")
