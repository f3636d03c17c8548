"""A bundled interpreter as a layer of its own."""

from __future__ import annotations

from collections.abc import Iterator

from capsule_builder.entries import Bytes, Entry, File, Symlink
from capsule_builder.errors import refusal
from capsule_builder.patterns import Patterns
from capsule_builder.python.interpreter import Plan, bundle
from capsule_builder.python.layout import INTERPRETER
from capsule_builder.python.tree import VenvTree
from capsule_builder.requirements.target import Platform, Target

INTERPRETER_LAYER = "interpreter"
"""The name of the layer that holds a bundled interpreter."""


def _misfit(plan: Plan, target: Target) -> str:
    """Why the interpreter cannot run on the target; empty when it can."""
    platform = Platform.parse(target.platform)
    machine = {"i386": "i686", "arm": "armv7l", "riscv": "riscv64", "loongarch": "loongarch64"}.get(
        plan.machine, plan.machine
    )
    if platform and machine != platform.arch.removesuffix("le"):
        return f"is for {machine}"
    if platform and platform.libc == "musl" and plan.glibc:
        return "needs glibc"
    if platform and platform.minor is not None and plan.glibc and plan.glibc > (2, platform.minor):
        return f"needs glibc {'.'.join(map(str, plan.glibc))}"
    return ""


def _is_script(data: bytes) -> bool:
    return data[:2] == b"#!"  # only text is ever written anew


class Bundled:
    """The interpreter that ``tree`` holds, for the ``target``'s Python and platform; ``warnings`` are for people.

    Raises:
        CapsuleError: it is another, is not whole, or would not run elsewhere; every reason, at once.
    """

    def __init__(self, tree: VenvTree, target: Target) -> None:
        self._tree = tree
        self._plan = bundle(tree.files, tree.links, self._read, target.python)
        self.warnings = self._plan.warnings
        if misfit := _misfit(self._plan, target):
            message = f"The interpreter {misfit}, and the platform is {target.platform}"
            raise refusal("interpreter-platform", message, "Bundle one for that platform, or state another.")

    def _read(self, path: str) -> bytes:
        with self._tree.origin(path).opened() as content:
            return b"".join(content.chunks())

    def entries(self, executables: Patterns) -> Iterator[Entry]:
        """The entries in path order; files are opened one at a time.

        Raises:
            CapsuleError: a file cannot be read.
        """
        for path in sorted([*self._plan.files, *self._plan.links]):
            place = f"{INTERPRETER}/{path}"
            if path in self._plan.links:
                yield Symlink(place, self._plan.links[path])
                continue
            new = self._plan.files[path]
            if new is not None:
                named = not _is_script(new) and executables.match(place)
                yield File(place, _is_script(new) or named, Bytes(new), named)
                continue
            with self._tree.origin(path).opened() as content:
                named = not content.program and executables.match(place)
                yield File(place, content.program or named, content, named)
