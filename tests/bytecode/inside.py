"""Runs in each Python, not in the tests' own: marshals plainly, or compares what bytecode loads to with plain code.

``marshal OUT`` and ``compare`` read a pickled list from standard input: (path, source) or (path, source, pyc).
"""

import importlib.util
import marshal
import pickle
import struct
import sys
import types
import warnings

FIELDS = [
    "co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_nlocals", "co_stacksize", "co_flags", "co_code",
    "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_filename", "co_name", "co_firstlineno", "co_linetable",
]  # fmt: skip
if sys.version_info >= (3, 11):
    FIELDS += ["co_qualname", "co_exceptiontable"]


def same(one: object, other: object) -> bool:
    """Equal in type and to the bit, through and through."""
    if type(one) is not type(other):
        return False
    if isinstance(one, types.CodeType):
        lines = list(one.co_lines()) == list(other.co_lines())
        fields = all(same(getattr(one, name), getattr(other, name)) for name in FIELDS)
        return fields and lines and same(one.co_consts, other.co_consts)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, frozenset):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, complex):
        return same((one.real, one.imag), (other.real, other.imag))
    return one == other


def main() -> None:
    warnings.simplefilter("ignore")
    given = pickle.load(sys.stdin.buffer)
    answers = []
    for path, source, *pyc in given:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        if not pyc:
            answers.append(marshal.dumps(code))
            continue
        head = importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + importlib.util.source_hash(source)
        answers.append(pyc[0][:16] == head and same(marshal.loads(pyc[0][16:]), code))
    pickle.dump(answers, sys.stdout.buffer)


main()
