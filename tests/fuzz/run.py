"""Runs harnesses for long, with atheris: it follows what each input reaches in the builder, and tries more like it.

    python -m tests.fuzz.run [HARNESS ...] [--runs N]

Inputs that reached something new are kept in .dev/fuzz/<harness>/, what was found in .dev/fuzz/found/. One process runs
one harness; without a name, all are run, one after another.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

STATE = Path(__file__).parents[2] / ".dev" / "fuzz"
LONGEST = 1 << 14  # bytes of one input
MEMORY = 3000  # MiB


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev fuzz", description="Runs harnesses with atheris.")
    parser.add_argument("harness", nargs="*", help="which; all without")
    parser.add_argument("--runs", type=int, default=100_000, metavar="N", help="executions of each (default: 100,000)")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        _fuzz(arguments.harness[0], arguments.runs)
    from tests.fuzz.harnesses import HARNESSES

    unknown = set(arguments.harness) - HARNESSES.keys()
    if unknown:
        parser.error(f"no such harness: {', '.join(sorted(unknown))} (there are {', '.join(HARNESSES)})")
    found = []
    for name in arguments.harness or HARNESSES:
        begin = time.monotonic()
        status = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.run", "--alone", name, "--runs", str(arguments.runs)]
        ).returncode
        print(f"{name}: {'a find' if status else 'nothing found'}, {time.monotonic() - begin:.0f} s", flush=True)
        found += [name] * bool(status)
    return 1 if found else 0


def _fuzz(name: str, runs: int) -> None:
    """Runs one harness in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["capsule_builder", "installer"]):
        from tests.fuzz.harnesses import HARNESSES
    fuzzed = HARNESSES[name]
    corpus = STATE / name
    corpus.mkdir(parents=True, exist_ok=True)
    (STATE / "found").mkdir(exist_ok=True)
    for number, data in enumerate(fuzzed.inputs(name, 200)):
        (corpus / f"seed-{number:03}").write_bytes(data)
    options = [
        f"-runs={runs}", f"-max_len={LONGEST}", f"-rss_limit_mb={MEMORY}", "-timeout=60", "-print_final_stats=1",
        f"-artifact_prefix={STATE / 'found'}/{name}-",
    ]  # fmt: skip
    if fuzzed.tokens:
        words = STATE / f"{name}.dict"
        words.write_text("".join(map(_word, fuzzed.tokens)))
        options.append(f"-dict={words}")

    def one(data: bytes) -> None:
        fuzzed.harness(data)

    atheris.Setup([name, *options, str(corpus)], one)
    atheris.Fuzz()


def _word(token: bytes) -> str:
    """A line of libFuzzer's dictionary; it takes no long ones."""
    text = "".join(f"\\x{byte:02x}" for byte in token[:60])
    return f'"{text}"\n'


if __name__ == "__main__":
    sys.exit(main())
