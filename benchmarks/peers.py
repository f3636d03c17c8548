"""What people pack a directory with today, as commands for bash (:class:`benchmarks.measure.Contender`)."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from benchmarks.measure import Contender

PYTHON = shlex.quote(sys.executable)

_TARFILE = (
    "import sys, tarfile; t = tarfile.open(sys.argv[2], 'w:gz', compresslevel=6); t.add(sys.argv[1], '.'); t.close()"
)

GZIP, PIGZ, ZSTD = "tar, gzip -6", "tar, pigz -6", "tar, zstd -3 -T0"


def commands(tree: Path) -> dict[str, str]:
    """Every peer by its name, packing all of ``tree`` into ``{out}``."""
    place = shlex.quote(str(tree))
    tar = f"tar cf - -C {place} ."
    return {
        GZIP: f"{tar} | gzip -6 >{{out}}",
        PIGZ: f"{tar} | pigz -6 >{{out}}",
        ZSTD: f"{tar} | zstd -q -3 -T0 >{{out}}",
        "bsdtar -cz": f"bsdtar -czf {{out}} -C {place} .",
        "zip": f"cd {place} && zip -qr {{out}} .",
        "Python tarfile, gzip 6": f"{PYTHON} -c {shlex.quote(_TARFILE)} {place} {{out}}",
    }


def contenders(tree: Path, names: tuple[str, ...] = (), rounds: int = sys.maxsize) -> list[Contender]:
    """The peers of these names, or all of them, each for so many rounds at the most."""
    return [Contender(name, line, rounds=rounds) for name, line in commands(tree).items() if not names or name in names]
