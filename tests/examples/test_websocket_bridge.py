"""The second service of examples/metacog: what goes over its WebSockets, and how they end."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
import websockets.sync.client

from tests.examples.metacog_service import BRIDGE, running
from tests.examples.metacog_venv import metacog_python

SOURCE = Path(__file__).parents[2] / "examples" / "metacog"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # this key and the answer to it are the example of section 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
HELLO = bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58")  # "Hello", masked: the example of section 5.7
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    with running(SOURCE, tmp_path_factory.mktemp("state"), {"MAX_TOKENS_PER_MIN": "100000"}) as service:
        yield service


@pytest.fixture(scope="module")
def bridge(core, tmp_path_factory):
    state = tmp_path_factory.mktemp("unused")
    with running(SOURCE, state, {"TORI_CORE_URL": core.base_url, "BUILD_SHA": "c0ffee"}, entrypoint=BRIDGE) as service:
        yield service


class Client:
    """A WebSocket client that can also do what a client must not."""

    def __init__(self, connection):
        self._connection = connection
        self._reader = connection.makefile("rb")

    def head(self):
        lines = list(iter(lambda: self._reader.readline().rstrip(), b""))
        return lines[0].decode(), dict(line.decode().split(": ", 1) for line in lines[1:])

    def send_raw(self, data):
        self._connection.sendall(data)

    def send(self, opcode, payload, *, final=True):
        length = len(payload)
        if length < 126:
            size = bytes([0x80 | length])
        elif length < 1 << 16:
            size = b"\xfe" + length.to_bytes(2, "big")
        else:
            size = b"\xff" + length.to_bytes(8, "big")
        mask = os.urandom(4)
        self.send_raw(
            bytes([final << 7 | opcode]) + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        )

    def receive(self):
        """The next frame, as (opcode, payload)."""
        first, length = self._reader.read(2)
        assert first & 0x80, "the bridge sends whole messages"
        if length >= 126:
            length = int.from_bytes(self._reader.read(2 if length == 126 else 8), "big")
        return first & 0x0F, self._reader.read(length)

    def closed(self):
        """The code of the close frame, which must be the last thing that comes."""
        opcode, payload = self.receive()
        assert opcode == 8
        assert self._reader.read() == b""
        return int.from_bytes(payload[:2], "big")


@contextlib.contextmanager
def connected(bridge):
    host, port = bridge.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        client = Client(connection)
        lines = [f"{name}: {value}\r\n" for name, value in {"Host": host, **HANDSHAKE}.items()]
        client.send_raw(f"GET /v1/stream HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
        status, headers = client.head()
        assert status.startswith("HTTP/1.1 101 ")
        assert headers["Sec-WebSocket-Accept"] == ACCEPT
        yield client


def test_a_message_is_reflected_upon(bridge, core):
    with connected(bridge) as client:
        client.send_raw(HELLO)
        opcode, payload = client.receive()
        assert opcode == 1
        assert json.loads(payload)["stance"] == "observation"
        client.send(1, "Perhaps — it rains".encode())
        assert json.loads(client.receive()[1])["stance"] == "doubt"
        client.send(8, (1000).to_bytes(2, "big"))
        assert client.closed() == 1000
    texts = [thought["text"] for thought in core.get("/v1/thoughts?limit=2").json["thoughts"]]
    assert texts == ["Hello", "Perhaps — it rains"]


def test_a_message_may_come_in_pieces_with_pings_between(bridge):
    with connected(bridge) as client:
        client.send(1, b"Perhaps ", final=False)
        client.send(9, b"still there?")
        client.send(10, b"unasked")
        client.send(0, "é".encode()[:1], final=False)
        client.send(0, "é".encode()[1:])
        assert client.receive() == (10, b"still there?")
        assert json.loads(client.receive()[1])["text"] == "Perhaps é"


def test_long_messages_pass_both_ways(bridge):
    with connected(bridge) as client:
        for size in (125, 126, 32768):
            client.send(1, b"x" * size)
            assert json.loads(client.receive()[1])["text"] == "x" * size


def test_an_error_of_the_core_is_an_answer(bridge):
    with connected(bridge) as client:
        client.send(1, b"   ")
        assert "body.text" in json.loads(client.receive()[1])["detail"]
        client.send(1, b"and on it goes")
        assert json.loads(client.receive()[1])["text"] == "and on it goes"


def test_a_core_that_is_away_is_an_answer_too(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with (
            running(SOURCE, tmp_path, {"TORI_CORE_URL": url}, entrypoint=BRIDGE) as lonely,
            connected(lonely) as client,
        ):
            client.send(1, b"hello?")
            assert json.loads(client.receive()[1]) == {"detail": "the core does not answer; try again later"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05Hello", 1002),  # no mask
        (b"\x82\x80\0\0\0\0", 1003),  # binary
        (b"\x81\x81\0\0\0\0\xff", 1007),  # not UTF-8
        (b"\x81\xff\0\0\0\0\0\0\x80\x01\0\0\0\0", 1009),  # one byte too long
        (b"\x01\xff\0\0\0\0\0\0\x80\0\0\0\0\0" + b"x" * 32768 + b"\x80\x81\0\0\0\0x", 1009),  # in two pieces
    ],
)
def test_what_the_bridge_does_not_take_ends_the_connection(bridge, data, code):
    with connected(bridge) as client:
        client.send_raw(data)
        client._connection.shutdown(socket.SHUT_WR)
        assert client.closed() == code


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Upgrade": "h2c"}, 404),
        ({"Sec-WebSocket-Version": "8"}, 400),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_bad_handshake_is_refused(bridge, changes, status):
    reply = bridge.request("GET", "/v1/stream", None, {**HANDSHAKE, **changes})
    assert reply.status == status


def test_a_page_of_the_same_host_may_connect(bridge):
    host, port = bridge.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        lines = [f"{name}: {value}\r\n" for name, value in HANDSHAKE.items()]
        head = f"GET /v1/stream HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: http://{host}:8077\r\n{''.join(lines)}\r\n"
        connection.sendall(head.encode())
        assert Client(connection).head()[0].startswith("HTTP/1.1 101 ")


def test_sigterm_says_goodbye_to_those_who_are_connected(core, tmp_path):
    with running(SOURCE, tmp_path, {"TORI_CORE_URL": core.base_url}, entrypoint=BRIDGE) as bridge:
        with connected(bridge) as idle, connected(bridge) as talking:
            talking.send(1, b"before the end")
            assert json.loads(talking.receive()[1])["text"] == "before the end"
            assert bridge.get("/healthz").json["connections"] == 2
            bridge.process.terminate()
            assert idle.closed() == talking.closed() == 1001
        assert bridge.process.wait(10) == 0


def test_sigterm_lets_the_answer_under_way_come(tmp_path):
    """The core is played by this test: it answers only when the bridge has been told to stop."""
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{"slow": 1}'
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            running(SOURCE, tmp_path, {"TORI_CORE_URL": url}, entrypoint=BRIDGE) as bridge,
            connected(bridge) as client,
        ):
            client.send(1, b"take your time")
            asked, _ = listener.accept()
            with asked:
                bridge.process.terminate()
                time.sleep(0.5)
                with pytest.raises(ConnectionRefusedError):
                    bridge.get("/healthz")
                asked.sendall(answer)
                assert client.receive() == (1, b'{"slow": 1}')
                assert client.closed() == 1001
            assert bridge.process.wait(10) == 0


def test_every_problem_of_the_environment_is_told_at_once():
    result = subprocess.run(
        [metacog_python(), str(SOURCE / BRIDGE), "--port", "-1"],
        env={"TORI_CORE_URL": "ftp://example.com/x"},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert result.returncode == os.EX_CONFIG
    assert result.stderr.splitlines() == [
        "error: TORI_PORT: Input should be greater than or equal to 0; not '-1'",
        "error: TORI_CORE_URL: URL scheme should be 'http' or 'https'; not 'ftp://example.com/x'",
    ]


def test_a_client_that_others_wrote_is_understood(bridge):
    url = bridge.base_url.replace("http:", "ws:") + "/v1/stream"
    with websockets.sync.client.connect(url, open_timeout=20, close_timeout=20) as client:
        client.send("Maybe from another implementation")
        assert json.loads(client.recv(20))["stance"] == "doubt"
        client.close(1000)
        assert client.close_code == 1000
