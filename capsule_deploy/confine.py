"""Takes from the process that unpacks an archive what it does not need, so that a defect in it can do no harm.

Landlock (Linux 5.13) lets it write in one directory alone; what a kernel does not have is left out, and said.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
import tempfile

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_CLONE_NEWPID = 0x20000000
_SIGKILL = 9
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same number on every architecture
_VERSION, _PATH_BENEATH = 1, 1

# <linux/landlock.h>
_EXECUTE, _WRITE_FILE, _REMOVE_FILE, _MAKE_REG = 1 << 0, 1 << 1, 1 << 5, 1 << 8
_CHANGES_1 = _EXECUTE | _WRITE_FILE | (0x1FF << 4)  # remove and make, of every kind
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_ALLOWED = _WRITE_FILE | _REMOVE_FILE | _MAKE_REG
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT, _SCOPE_SIGNAL = 1, 2

_MEMORY = 4 << 30  # of addresses: threads and allocators take far more of these than of memory
_OPEN_FILES = 512


def fork_alone() -> tuple[int, bool]:
    """Forks, if possible into a namespace of processes, whose end is the end of whatever the child has started.

    Gives what ``fork`` gives, and whether there is such a namespace.

    Raises:
        OSError: there can be no other process.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        ours = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return os.fork(), False
    try:
        alone = libc.unshare(_CLONE_NEWPID) == 0
        try:
            return os.fork(), alone
        finally:
            if alone:
                libc.setns(ours, _CLONE_NEWPID)  # or there would be no threads any more
    finally:
        os.close(ours)


def confine(directory: int, largest: int, seconds: int) -> list[str]:
    """Confines this process for good: it writes in ``directory`` (a descriptor) alone, files of at most ``largest``.

    bytes; ``seconds`` is all the time of a processor that it gets. Gives the names of what holds from here on.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    held = []
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    os.fchdir(directory)
    os.environ.clear()
    tempfile.tempdir = "."
    os.umask(0o077)
    for what, most in (
        (resource.RLIMIT_FSIZE, largest),
        (resource.RLIMIT_AS, _MEMORY + largest // 1024),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _limit(what, most)
    held.append("rlimits")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        held.append("no_new_privs")
    if landlock := _landlock(libc, directory):
        held.append(landlock)
    if _drop_capabilities(libc):
        held.append("no capabilities")
    return held


def _limit(what: int, most: int) -> None:
    with contextlib.suppress(ValueError):  # it is lower already
        resource.setrlimit(what, (most, most))


def _landlock(libc: ctypes.CDLL, directory: int) -> str | None:
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION))
    if version < 1:
        return None
    handled = _CHANGES_1
    allowed = _ALLOWED
    if version >= 2:
        handled |= _REFER
    if version >= 3:
        handled |= _TRUNCATE
        allowed |= _TRUNCATE
    if version >= 5:
        handled |= _IOCTL
    ports = _BIND_TCP | _CONNECT_TCP if version >= 4 else 0
    scoped = _SCOPE_ABSTRACT | _SCOPE_SIGNAL if version >= 6 else 0
    fields = [handled, *([ports] if version >= 4 else []), *([scoped] if version >= 6 else [])]
    rules = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = libc.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), ctypes.c_uint(0))
    if ruleset < 0:
        return None
    try:
        beneath = struct.pack("=Qi", allowed, directory)
        added = libc.syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), beneath, ctypes.c_uint(0))
        if added != 0 or libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)) != 0:
            return None
    finally:
        os.close(ruleset)
    return f"landlock {version}"


def _drop_capabilities(libc: ctypes.CDLL) -> bool:
    """Whether the process has no capability, and can get none."""
    for number in range(64):
        if libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break
    header = struct.pack("=Ii", 0x20080522, 0)
    return bool(libc.capset(header, bytes(24)) == 0)
