"""The ports that a process listens on, as far as its arguments and variables say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from capsule_deploy.migrate.model import Findings, Process, Variable

_LISTENS = ("b", "bind", "p", "port", "l", "listen", "http", "http-socket", "addr", "address")
"""Options after which a port or an address stands."""

_OWN_PORT = re.compile(
    r"(?:HTTP_|HTTPS_|WEB_|APP_|SERVER_|LISTEN_|BIND_|SERVICE_|UVICORN_|FLASK_RUN_)?(?:PORT|BIND|ADDR|ADDRESS)$"
)


def listened_on(words: Sequence[str], process: Process) -> tuple[int, ...]:
    """The ports in the order in which they are named; ``words`` are the program's arguments."""
    return tuple(dict.fromkeys(_found(words, process.env)))


def _found(words: Sequence[str], env: Mapping[str, Variable]) -> Iterator[int]:
    before = ""
    for word in words:
        option, _, value = word.rpartition("=") if word.startswith("-") else (before, "", word)
        listens = option.lstrip("-") in _LISTENS
        found = re.fullmatch(r"(?:(?:https?|tcp)://)?(?:(?:\[[0-9a-fA-F:]*\]|[\w.*-]*):)?([0-9]{2,5})/?", value)
        bound = re.fullmatch(r"(?:[0-9.]+|\*|localhost|\[[0-9a-fA-F:]*\]|):([0-9]{2,5})", value)
        if (listens and found) or (not option and bound):
            yield int((found or bound)[1])  # type: ignore[index]
        elif re.fullmatch(r"-[bp]\S*?:?[0-9]{2,5}", word) and (attached := re.search(r"([0-9]{2,5})$", word)):
            yield int(attached[1])
        before = word if word.startswith("-") and "=" not in word else ""
    for name, variable in env.items():
        found = re.search(r"(?:^|:)([0-9]{2,5})$", variable.value)
        if found and _OWN_PORT.fullmatch(name):
            yield int(found[1])


def tell_ports(ports: Iterable[int], process: Process, findings: Findings) -> None:
    """Tells of each port, and of those that a service has no right to."""
    for port in ports:
        if 0 < port < 1024:
            message = f"It listens on port {port}; a capsule's service has no right to ports below 1024."
            remedy = "Let it listen on a higher one, behind a proxy or a socket of the host."
            findings.left("port-privileged", process.name, message, remedy, process.origin)
        elif port <= 65535:
            findings.carried(process.name, f"It listens on port {port}.", process.origin, code="port")
