"""Building again: nothing changed, or one file, with a warm cache; beside others that keep something between two runs.

What is the least that can be asked: to copy the finished archive, to look at every file once, and to start Python.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmarks import peers
from benchmarks.bench import Bench, ratio
from benchmarks.measure import Contender
from benchmarks.measure import run as run_once
from benchmarks.ours import capsbuild, has_cache
from benchmarks.report import Result, Target

OURS = "capsbuild"
LEAST = "cp of the archive, a stat walk, an empty Python"
NOTHING, ONE = "nothing changed", "one file changed"
_TEXT = "The sizes of casync and ostree are those of all that they have kept after the last round.\n"


def run(bench: Bench) -> Result:
    """Measures."""
    tree, application, place, usual = bench.inputs.environment(), bench.inputs.application(), bench.place, 7
    wheels = ("--wheels", bench.inputs.wheels(), "--requirements", bench.inputs.lock())
    archive, quoted = shlex.quote(str(place / "finished.tar.gz")), shlex.quote(str(tree))
    run_once(capsbuild("--from-dir", tree, output=archive))
    edited = [directory / "app/module_07.py" for directory in (tree, application)]

    walk = f"find {quoted} -newer {archive} >{place}/newer && {peers.PYTHON} -c pass"
    contenders = [Contender(LEAST, f"cp {archive} {{out}} && {walk}")]
    if has_cache():
        cache = place / "cache"
        contenders += _pair(OURS, capsbuild("--from-dir", tree, cache=cache), edited[0], place)
        command = capsbuild("--from-dir", application, *wheels, cache=cache)
        contenders += _pair(f"{OURS} from wheels", command, edited[1], place)
    contenders.append(Contender(f"{OURS}, without a cache", capsbuild("--from-dir", tree)))
    for name, (command, kept) in _peers(quoted, place).items():
        contenders += _pair(name, command, edited[0], place, kept)
    contenders += peers.contenders(tree, (peers.GZIP,), rounds=3)

    before = [file.read_bytes() for file in edited]
    try:
        rows = bench.compare(contenders, usual)
    finally:
        for file, data in zip(edited, before, strict=True):
            file.write_bytes(data)
    nothing = ratio(rows, f"{OURS}, {NOTHING}", "wall", LEAST) if has_cache() else None
    one = ratio(rows, f"{OURS}, {ONE}", "wall", f"{OURS}, {NOTHING}") if has_cache() else None
    return Result(
        title="The environment of the case `environment` from a directory, built again",
        rounds=bench.rounds(usual),
        rows=rows,
        targets=[
            Target("nothing changed: wall, of cp, a stat walk and an empty Python", nothing, most=2),
            Target("one file changed: wall, of nothing changed", one, most=1.2),
        ],
        text=_TEXT if has_cache() else f"{_TEXT}This capsbuild keeps no cache: it does all again.\n",
    )


def _peers(tree: str, place: Path) -> dict[str, tuple[str, Path]]:
    """Commands, and where what they keep grows."""
    store, repository = place / "casync", place / "ostree"
    store.mkdir()
    run_once(f"ostree --repo={repository} init --mode=archive")
    casync = f"casync make --with=unix --store={store}/store.castr --cache={store}/cache {store}/index.caidx {tree}"
    ostree = f"ostree --repo={repository} commit --disable-fsync --branch=main --tree=dir={tree}"
    return {"casync make": (casync, store), "ostree commit": (ostree, repository)}


def _pair(name: str, command: str, edited: Path, place: Path, output: Path | None = None) -> list[Contender]:
    """The same command when nothing and when one file has changed since it ran last, which is not measured."""

    def before() -> None:
        run_once(command.format(out=place / "before.bin"))

    def changed() -> None:
        before()
        with open(edited, "a") as file:
            file.write("# one line more\n")

    return [
        Contender(f"{name}, {NOTHING}", command, before, output),
        Contender(f"{name}, {ONE}", command, changed, output),
    ]
