"""Run by the example's own Python, with its directory and a scratch directory: a store that dies at every step.

For each n, a forked child appends thoughts and dies at its n-th change of the disk, before or after it; the parent then
opens what is left. Prints a JSON list of [acknowledged by the child, found by the parent, files found].
"""

import contextlib
import itertools
import json
import os
import sys
from pathlib import Path

sys.path[0] = sys.argv[1]
sys.dont_write_bytecode = True

from alan_backend import segments, store  # noqa: E402

THOUGHTS = 11
KILLED = 9
segments.FAN = 3  # small, so that segments are merged, and merged again
STEPS = ("fsync", "rename", "unlink")


def dies(directory, at, after, told):
    """Appends thoughts in this process, which ends at its ``at``-th step; writes to ``told`` what was acknowledged."""
    left = at

    def deadly(real):
        def step(*arguments):
            nonlocal left
            left -= 1
            if left < 0 and not after:
                os._exit(KILLED)
            real(*arguments)
            if left < 0:
                os._exit(KILLED)

        return step

    for name in STEPS:
        setattr(os, name, deadly(getattr(os, name)))
    opened = store.Store(directory)
    for number in range(THOUGHTS):
        opened.append({"text": f"text {number}", "stance": "s", "question": "?", "scores": {"s": 0.5}})
        os.write(told, b".")
    os._exit(0)


def main(scratch):
    results = []
    for after in (False, True):
        for at in itertools.count():
            directory = scratch / f"{after}{at}"
            readable, told = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    dies(directory, at, after, told)
                finally:
                    os._exit(1)
            os.close(told)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status in (0, KILLED), "the child failed"
            acknowledged = 0
            while chunk := os.read(readable, 4096):
                acknowledged += len(chunk)
            os.close(readable)
            with contextlib.closing(store.Store(directory)) as left:
                count, thoughts = left.recent(store.RECENT)
            assert [thought["id"] for thought in thoughts] == list(range(1, count + 1))
            assert [thought["text"] for thought in thoughts] == [f"text {number}" for number in range(count)]
            results.append([acknowledged, count, sorted(os.listdir(directory))])
            if status == 0:
                break
    json.dump(results, sys.stdout)


main(Path(sys.argv[2]))
