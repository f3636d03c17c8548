"""A bundled interpreter as a layer of its own."""

from __future__ import annotations

from collections.abc import Iterator

from capsule_builder.entries import Bytes, Entry, File, Symlink
from capsule_builder.errors import refusal
from capsule_builder.patterns import Patterns
from capsule_builder.python.bytecode import Compiler, pyc_path
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

    def entries(self, executables: Patterns, compiler: Compiler | None = None) -> Iterator[Entry]:
        """The entries in path order; files are opened one at a time. With a ``compiler`` the library is compiled too.

        Raises:
            CapsuleError: a file cannot be read.
        """
        written = {path: data for path, data in self._plan.files.items() if data is not None}
        if compiler:
            written |= self._compiled(compiler)
        for path in sorted({*self._plan.files, *self._plan.links, *written}):
            place = f"{INTERPRETER}/{path}"
            if path in self._plan.links:
                yield Symlink(place, self._plan.links[path])
            elif path in written:
                program = written[path][:2] == b"#!"  # no program of another kind is ever written
                named = not program and executables.match(place)
                yield File(place, program or named, Bytes(written[path]), named)
            else:
                with self._tree.origin(path).opened() as content:
                    named = not content.program and executables.match(place)
                    yield File(place, content.program or named, content, named)

    def _compiled(self, compiler: Compiler) -> Iterator[tuple[str, bytes]]:
        modules = sorted(path for path in self._plan.files if path.startswith("lib/") and path.endswith(".py"))
        sources = ((path, self._plan.files[path] or self._read(path)) for path in modules)
        return ((pyc_path(path, compiler.tag), code) for path, code in compiler.compile(sources) if code is not None)
