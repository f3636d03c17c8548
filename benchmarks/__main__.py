"""The command line behind ``./dev bench``."""

from __future__ import annotations

import argparse
import importlib
import tempfile
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.cases import CASES
from benchmarks.inputs import REPOSITORY, Inputs
from benchmarks.machine import describe
from benchmarks.measure import say
from benchmarks.report import fill_readme, write, write_targets

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Asks all questions, or those that are named, and writes down what comes out."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measures capsbuild beside what people use today.")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"some cases alone: {', '.join(CASES)}")
    parser.add_argument("--quick", action="store_true", help="small inputs, one round: to see that all of it runs")
    parser.add_argument("--rounds", type=int, metavar="N", help="so many rounds, whatever the case's own number")
    parser.add_argument("--results", type=Path, metavar="DIR", help="where to write (default: benchmarks/results)")
    parser.add_argument(
        "--place",
        type=Path,
        metavar="DIR",
        default=REPOSITORY / ".dev/bench",
        help="for inputs and outputs (.dev/bench)",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))} (there are {', '.join(CASES)})")
    place = arguments.place.resolve()
    results = arguments.results or (place / "quick_results" if arguments.quick else RESULTS)
    inputs, machine = Inputs(place, quick=arguments.quick), describe()
    for name in CASES:
        if arguments.names and name not in arguments.names:
            continue
        say(f"{name} ...")
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            bench = Bench(inputs, Path(scratch), place / "bazel", arguments.quick, arguments.rounds)
            result = importlib.import_module(f"benchmarks.cases.{name}").run(bench)
        print(write(results, name, result, machine), flush=True)
    targets = write_targets(results, CASES)
    print(targets)
    if results == RESULTS and (results / "environment.md").exists():
        fill_readme(REPOSITORY / "README.md", RESULTS, "environment", targets)


if __name__ == "__main__":
    main()
