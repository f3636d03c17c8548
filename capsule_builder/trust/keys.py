"""Key files on disk, and the passwords that open them. What is in the files is the business of ``minisign``.

No message holds a password or a part of a secret key, and neither does the cause of any error that is raised.
"""

from __future__ import annotations

import contextlib
import getpass
import locale
import os
import stat
import warnings
from collections.abc import Callable, Mapping

from capsule_builder.errors import CapsuleError, Problem, refusal
from capsule_builder.output import NewFile, check_output, commit_together
from capsule_builder.paths import shown
from capsule_builder.signals import undisturbed
from capsule_builder.trust.minisign import PublicKey, SecretKey, SecretKeyFile

PASSWORD_FILE = "CAPSULE_SIGN_PASSWORD_FILE"  # noqa: S105
"""The environment variable that names the file with the password in its first line."""

_MAX_BYTES = 16 << 10
_MAX_PASSWORD = 1023
"""Bytes of a password that the ``minisign`` program reads."""


def open_secret_key(path: str, environment: Mapping[str, str]) -> tuple[SecretKey, list[Problem]]:
    """The secret key in the file ``path``, and warnings; its password, if it has one, is read or asked for.

    Raises:
        CapsuleError: the file or the password cannot be read, or the one does not open the other.
    """
    name = shown(path)
    data, found = _read_private(path, "Secret key")
    if _is_public(data):
        raise refusal("key-public", f"This is a public key: {name}", "Name the secret one, which signs.")
    file = SecretKeyFile.parse(data, name)
    password = None
    if file.encrypted:
        password, more = read_password(environment, f"Password of {name}: ")
        found += more
    try:
        return file.open(password), found
    except CapsuleError as error:
        if error.problems[0].code != "minisign-password-wrong":
            raise
    raise refusal(
        "minisign-password-wrong",
        f"Wrong password for the secret key: {name}",
        f"Type it again, or mend the file that {PASSWORD_FILE} names.",
    )


def check_not_key(output: str | None, key: str) -> None:
    """Refuses an output that would take the place of the secret key, which nobody has a second time.

    Raises:
        CapsuleError: it would.
    """
    with contextlib.suppress(OSError):  # what is not there is not replaced
        if output and os.path.samefile(output, key):
            raise refusal("output-key", f"Output is the secret key itself: {shown(output)}", "Name another.")


def read_password(environment: Mapping[str, str], prompt: str, again: str = "") -> tuple[bytes, list[Problem]]:
    """A password and warnings: the first line of the file that the environment names, or what is typed at a terminal.

    With ``again``, a second prompt, it is a new one: it has to be typed twice, and may not be empty.

    Raises:
        CapsuleError: there is neither, the file cannot be read, or it is no password that minisign would read.
    """
    found: list[Problem] = []
    if path := environment.get(PASSWORD_FILE):
        data, found = _read_private(path, "Password file")
        password = data.partition(b"\n")[0].removesuffix(b"\r")
        if not data:
            raise refusal("key-password-unfit", f"Password file is empty: {shown(path)}", "Put the password into it.")
    else:
        password = _typed(prompt)
        if again and _typed(again) != password:
            raise refusal("key-password-unfit", "The two passwords differ.", "Type the same one twice.")
    if again and not password:
        raise refusal("key-password-unfit", "The new password is empty.", "Choose one, or say --no-password.")
    if b"\0" in password or len(password) > _MAX_PASSWORD:
        raise refusal(
            "key-password-unfit",
            f"The password is longer than {_MAX_PASSWORD:,} bytes, or holds a NUL.",
            "minisign would read a part of it. Choose another.",
        )
    return password, found


def write_pair(
    prefix: str,
    password: Callable[[], bytes | None],
    *,
    force: bool = False,
    before_commit: Callable[[], None] | None = None,
) -> PublicKey:
    """Makes a key pair: ``<prefix>.key``, for its owner alone, and ``<prefix>.pub``; both or none.

    ``password`` is asked when all else is well, and gives None for a key without one. ``before_commit`` is called when
    nothing is left to do but to put the files in their places.

    Raises:
        CapsuleError: a file of one of the names exists and ``force`` is off, or their place is refused.
        OSError: they cannot be written.
    """
    secret_path, public_path = f"{prefix}.key", f"{prefix}.pub"
    for path in (secret_path, public_path):
        check_output(path, None)
    if not force and (there := [path for path in (secret_path, public_path) if os.path.lexists(path)]):
        remedy = "Choose another prefix. With --force it is replaced, and nobody can sign with the old key any more."
        raise CapsuleError([Problem("key-exists", f"Key exists already: {shown(path)}", remedy) for path in there])
    secret = SecretKey.generate()
    sealed = SecretKeyFile.seal(secret, password())
    with contextlib.ExitStack() as stack:
        with undisturbed():
            secret_file = stack.enter_context(NewFile(secret_path, private=True))
            public_file = stack.enter_context(NewFile(public_path))
        for new, data in ((secret_file, sealed.format()), (public_file, secret.public_key.format())):
            new.file.write(data)
            new.file.flush()
            os.fsync(new.file.fileno())  # what is signed from now on depends on it
        if before_commit:
            before_commit()
        commit_together(public_file, secret_file, replace=force)
        return secret.public_key


def _read_private(path: str, what: str) -> tuple[bytes, list[Problem]]:
    """A short file that only its owner should read, with a warning if others may."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise refusal("key-missing", f"{what} not found: {shown(path)}", "Name an existing one.") from None
    except OSError as error:
        raise refusal("key-unreadable", f"Cannot read {shown(path)}: {error.strerror}", "Name a file.") from None
    if stat.S_ISREG(mode) and mode & 0o077:
        message = f"{what} is open to others: {shown(path)} (mode {stat.S_IMODE(mode):04o})"
        return data, [Problem("key-open", message, "Close it: chmod 600.")]
    return data, []


def _is_public(data: bytes) -> bool:
    try:
        PublicKey.parse(data)
    except CapsuleError:
        return False
    return True


def _typed(prompt: str) -> bytes:
    """What is typed at the terminal, as the bytes that it sent; never echoed, and never read from anything else."""
    reason = f"Call it from a terminal, or let {PASSWORD_FILE} name a file with the password in its first line."
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)  # it would go on, and show what is typed
        try:
            return getpass.getpass(prompt).encode(locale.getpreferredencoding(False))
        except (getpass.GetPassWarning, EOFError, OSError):
            problem = Problem("key-password-none", "The secret key's password is needed, and nobody types it.", reason)
        except UnicodeError:
            problem = Problem("key-password-unfit", "What was typed is not in the terminal's encoding.", reason)
    raise CapsuleError([problem])  # here, so that no cause holds what was typed
