"""The ports that a process listens on, as far as its arguments and variables say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from capsule_deploy.migrate.launch.needs import is_low
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
    """Tells of each port, and of those that are not open to every service."""
    for port in ports:
        if is_low(port):
            message = f"It listens on port {port}, which the manifest's sandbox: {{ allow: [low-ports] }} permits."
            remedy = "Behind a proxy it can listen on a port above 1023; take low-ports out then."
            findings.changed("port-privileged", process.name, message, remedy, process.origin)
        elif port <= 65535:
            findings.carried(process.name, f"It listens on port {port}.", process.origin, code="port")
