"""How a service is asked over HTTP: answers of every kind, of real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from capsule_deploy.health import http

Answer = Callable[[socket.socket], None]


@contextmanager
def server(listener: socket.socket, answer: Answer) -> Iterator[None]:
    """Takes one connection, and answers it."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            with suppress(OSError):  # who asked has gone
                answer(connection)

    listener.listen()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield
    thread.join(5)
    listener.close()


def says(text: bytes) -> Answer:
    return lambda connection: connection.sendall(text)


def drips(connection: socket.socket) -> None:
    for _ in range(100):
        connection.sendall(b"H")
        time.sleep(0.05)


def nothing(connection: socket.socket) -> None:
    time.sleep(1)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (says(b"HTTP/1.1 200 OK\r\n\r\n"), ""),
        (says(b"HTTP/1.0 204\r\n\r\n"), ""),
        (says(b"HTTP/1.1 299 Odd\r\n\r\n"), ""),
        (says(b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n"), "301 from"),
        (says(b"HTTP/1.1 404 Not Found\r\n\r\n"), "404 from"),
        (says(b"HTTP/1.1 503 \r\n\r\n"), "503 from"),
        (says(b"HTTP/1.1 2000 OK\r\n\r\n"), "no answer of HTTP"),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n"), "no answer of HTTP"),
        (says(b"200 OK\r\n"), "no answer of HTTP"),
        (says(b""), "no answer of HTTP"),
        (says(b"\x00" * 5000), "no answer of HTTP"),
        (nothing, "no answer within 0.4 s"),
        (drips, "no answer within 0.4 s"),
    ],
)
def test_only_2xx_is_healthy(answer: Answer, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        began = time.monotonic()
        with server(listener, answer):
            found = http(port, "/up", 0.4)
            assert time.monotonic() - began < 1
    assert found.startswith(said) and bool(found) == bool(said)


def test_a_port_on_which_nobody_listens_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert http(port, "/", 0.5).startswith("Connection refused")


def test_a_unix_socket_is_asked_as_well(tmp_path: Path) -> None:
    heard: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert http(str(tmp_path / "s"), "/up?deep=1", 1) == ""
    thread.join(5)
    listener.close()
    assert heard[0].startswith(b"GET /up?deep=1 HTTP/1.1\r\nHost: localhost\r\n")
