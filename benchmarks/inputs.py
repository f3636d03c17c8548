"""What is packed: each input is made once, the same every time, out of real files; small ones when it must be quick."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measure import say
from tests.bazel.wheels import wheel

REPOSITORY = Path(__file__).resolve().parents[1]
WHEELS = REPOSITORY / ".dev" / "bench_wheels"
LOCK = REPOSITORY / "requirements" / "wheels.txt"

MANIFEST = """\
name: bench
version: 1.0.0
entrypoint: app/module_00.py
dependencies:
  python: "3.11"
"""
_TEXT = (".py", ".pyi", ".pyx", ".pxd", ".h", ".hpp", ".js", ".css", ".html", ".po", ".txt")
_PIECE = 1 << 16


class Inputs:
    """The inputs, in a directory of their own; they are made when they are first asked for.

    Every one but the wheels is an application: it has a ``capsule.yml``.
    """

    def __init__(self, place: Path, *, quick: bool) -> None:
        self._quick = quick
        self._place = place / ("quick" if quick else "full")
        self._place.mkdir(parents=True, exist_ok=True)
        key = hashlib.sha256(Path(__file__).read_bytes() + (b"" if quick else LOCK.read_bytes())).hexdigest()
        stamp = self._place / "stamp"
        if not stamp.exists() or stamp.read_text() != key:  # this file or the lock has changed
            shutil.rmtree(self._place)
            self._place.mkdir()
            stamp.write_text(key)

    def wheels(self) -> Path:
        """(w): the wheels of ``requirements/wheels.in``, about 500 MB and 12,000 files unpacked; few and small ones."""
        return self.small_wheels() if self._quick else WHEELS

    def lock(self) -> Path:
        """Names all of (w), with hashes."""
        return self.small_wheels() / "lock.txt" if self._quick else LOCK

    def small_wheels(self) -> Path:
        """A hundred wheels (four) of twenty modules each, and their ``lock.txt``."""

        def make(place: Path) -> None:
            pieces, lines = _pieces(self._text(), seed=1), []
            for number in range(4 if self._quick else 100):
                name = f"package{number:03}"
                files = {f"{name}/module_{module:02}.py": next(pieces) for module in range(20)}
                path = wheel(place, name, "1.0", {f"{name}/__init__.py": b"", **files})
                lines.append(f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n")
            (place / "lock.txt").write_text("".join(lines))

        return self._once("small_wheels", make)

    def application(self) -> Path:
        """Fifty modules."""

        def make(place: Path) -> None:
            _write_manifest(place)
            for number, piece in enumerate(itertools.islice(_pieces(self._text(), seed=2), 50)):
                (place / f"app/module_{number:02}.py").write_bytes(piece)

        return self._once("application", make)

    def environment(self) -> Path:
        """(w) unpacked into ``site-packages`` beside the application."""

        def make(place: Path) -> None:
            shutil.copytree(self.application(), place, dirs_exist_ok=True)
            for path in sorted(self.wheels().glob("*.whl")):
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(place / "site-packages")

        return self._once("environment", make)

    def sources(self) -> Path:
        """(s): 100,000 (300) small files of real text, about 200 MB."""

        def make(place: Path) -> None:
            _write_manifest(place)
            pieces = _pieces(self._text(), seed=3)
            for number in range(300 if self._quick else 100_000):
                if number % 100 == 0:
                    folder = place / f"app/package_{number // 1000:03}/part_{number // 100 % 10}"
                    folder.mkdir(parents=True)
                (folder / f"module_{number % 100:02}.py").write_bytes(next(pieces))

        return self._once("sources", make)

    def block(self) -> Path:
        """(b): one file of 4 GiB (8 MiB): 64 KiB pieces of (w)'s files, shuffled anew when all have had a turn."""

        def make(place: Path) -> None:
            _write_manifest(place)
            wanted = (8 << 20 if self._quick else 4 << 30) // _PIECE
            pool = place / "pool"
            with open(pool, "wb") as file:
                for path in sorted((self.environment() / "site-packages").rglob("*")):
                    if path.is_file():
                        file.write(path.read_bytes())
            order, seeded = list(range(pool.stat().st_size // _PIECE)), random.Random(4)
            with open(pool, "rb") as source, open(place / "app/data.bin", "wb") as file:
                while wanted:
                    seeded.shuffle(order)
                    for number in order[:wanted]:
                        file.write(os.pread(source.fileno(), _PIECE, number * _PIECE))
                    wanted -= min(wanted, len(order))
            pool.unlink()

        return self._once("block", make)

    def multitude(self) -> dict[int, Path]:
        """(n): trees of 1,000 to 1,000,000 (300) tiny files, by their number; each tree holds the next smaller one."""
        sizes = (30, 100, 300) if self._quick else (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)

        def make(place: Path) -> None:
            root, least = place, (0, *sizes)
            for less, size in reversed(list(zip(least, sizes, strict=False))):
                _write_manifest(root)
                for number in range(less, size - 2):  # the manifest and its program are two more
                    if number == less or number % 100 == 0:
                        folder = root / f"part_{number // 100:05}"
                        folder.mkdir()
                    with open(f"{folder}/module_{number:07}.py", "wb", buffering=0) as file:
                        file.write(b"NUMBER = %d\n" % number)
                root /= "inner"

        root = self._once("multitude", make)
        return {size: root.joinpath(*["inner"] * depth) for depth, size in enumerate(reversed(sizes))}

    def _text(self) -> Iterator[bytes]:
        """Real source text, over and over: of (w), or of this Python's library."""
        while True:
            if self._quick:
                for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
                    yield path.read_bytes()
            else:
                for path in sorted(WHEELS.glob("*.whl")):
                    with zipfile.ZipFile(path) as archive:
                        for name in archive.namelist():
                            if name.endswith(_TEXT):
                                yield archive.read(name)

    def _once(self, name: str, make: Callable[[Path], None]) -> Path:
        place, new = self._place / name, self._place / f"{name}.new"
        if not place.exists():
            say(f"making the input {name}")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            make(new)
            new.rename(place)
        return place


def _pieces(text: Iterator[bytes], seed: int) -> Iterator[bytes]:
    """Cuts text at line ends into pieces as long as source files are: 2,000 bytes on the average, some 20,000."""
    seeded, rest = random.Random(seed), b""
    while True:
        size = int(min(seeded.lognormvariate(7.1, 1), 20_000))
        while len(rest) <= size:
            rest += next(text)
        end = rest.find(b"\n", size) + 1 or size
        yield rest[:end]
        rest = rest[end:]


def _write_manifest(place: Path) -> None:
    (place / "app").mkdir(parents=True, exist_ok=True)
    (place / "capsule.yml").write_text(MANIFEST)
    (place / "app/module_00.py").write_text("print('Hello')\n")
