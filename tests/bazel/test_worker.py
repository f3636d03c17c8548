"""The persistent worker: its protocol, to the byte, and that one action leaves nothing behind for the next."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bazel.harness import REPOSITORY

START = "import sys; from capsule_builder.actions.main import main; sys.exit(main(sys.argv[1:]))"
LETTER = "--letter=\N{LATIN SMALL LETTER E WITH ACUTE}"
OUTPUTS = ("fragment", "contents", "index")
ALL_OUTPUTS = (*OUTPUTS, "facts", "archive", "id", "metadata", "listing", "file-name")


def varint(value: int) -> bytes:
    """A number as protocol buffers write it; negative ones as of 64 bits."""
    value &= 2**64 - 1
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])


def text(number: int, value: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def number(number: int, value: int) -> bytes:
    """A field that is a number."""
    return varint(number << 3) + varint(value)


def framed(*fields: bytes) -> bytes:
    message = b"".join(fields)
    return varint(len(message)) + message


def digest(content: str) -> str:
    """A hash as RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).decode().rstrip("=")


def request(arguments: list[str], *more: bytes) -> bytes:
    return framed(*(text(1, argument.encode("utf-8", "surrogateescape")) for argument in arguments), *more)


def answers(stream: bytes) -> Iterator[tuple[int, str, int]]:
    """Status, output and request ID of each answer."""
    at = 0

    def read() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = stream[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(stream):
        end = read() + at
        found: dict[int, int | bytes] = {}
        while at < end:
            key = read()
            value = read()
            if key & 7 == 2:
                found[key >> 3] = stream[at : at + value]
                at += value
            else:
                found[key >> 3] = value
        assert at == end
        status, output, identity = found.pop(1, 0), found.pop(2, b""), found.pop(3, 0)
        assert not found and isinstance(status, int) and isinstance(output, bytes) and isinstance(identity, int)
        yield status, output.decode("utf-8", "strict"), identity


def command(*arguments: str, start: str = START) -> list[str]:
    return [sys.executable, "-c", start, *arguments]


def work(place: Path, stream: bytes, start: str = START) -> subprocess.CompletedProcess[bytes]:
    """Runs a worker on a whole stream of requests."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command("--persistent_worker", start=start), input=stream, cwd=place, env=environment, capture_output=True
    )


def answered(place: Path, *requests: bytes) -> list[tuple[int, str, int]]:
    ran = work(place, b"".join(requests))
    assert (ran.returncode, ran.stderr) == (0, b"")
    return list(answers(ran.stdout))


def layer(name: str, *lines: str) -> list[str]:
    outputs = [f"--{kind}={name}.{kind}" for kind in OUTPUTS]
    return ["layer", LETTER, *outputs, "--level=6", "--workspace-name=w", "--package-dir=", "--strip-prefix=", *lines]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with what all actions need."""
    (tmp_path / "start.sh").write_text("#!/bin/sh\necho started\n")
    (tmp_path / "capsule.yml").write_text("name: app\nversion: 1.0.0\nentrypoint: start.sh\n")
    (tmp_path / "bad.yml").write_text("name: [\n")
    (tmp_path / "data").write_bytes(hashlib.shake_256(b"data").digest(300_000))
    (tmp_path / "requirements.txt").write_text("fruit==1.0\n")
    metadata = "Metadata-Version: 2.1\nName: fruit\nVersion: 1.0\n"
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {"fruit.py": "SWEET = True\n" * 500, "fruit-1.0.dist-info/METADATA": metadata}
    files["fruit-1.0.dist-info/WHEEL"] = tags
    files["fruit-1.0.dist-info/RECORD"] = "".join(
        f"{path},sha256={digest(content)},{len(content)}\n" for path, content in files.items()
    )
    files["fruit-1.0.dist-info/RECORD"] += "fruit-1.0.dist-info/RECORD,,\n"
    with zipfile.ZipFile(tmp_path / "fruit-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
    return tmp_path


def python_lines(verb: str, name: str, *lines: str) -> list[str]:
    outputs = [f"--{kind}={name}.{kind}" for kind in OUTPUTS]
    return [verb, LETTER, *outputs, "--level=6", "--python=3.11", "--platform=manylinux_2_28_x86_64", *lines]


def every_kind(prefix: str) -> list[list[str]]:
    """One action of each kind, and refusals of some kinds in between, in an order in which they can run."""
    release = ".".join(map(str, sys.version_info[:3]))
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    wheel = python_lines("wheel", f"{prefix}wheel", "--wheel=fruit-1.0-py3-none-any.whl")
    compiled = [line.replace("--python=3.11", f"--python={python}") for line in wheel]
    assembly = ["assemble", LETTER, "--level=6", "--manifest=capsule.yml"]
    assembly += [f"--{kind}={prefix}{kind}" for kind in ("archive", "id", "metadata", "listing", "file-name")]
    for name in ("app", "wheel"):
        assembly += [f"--layer={name}", "@@other//a:b", *(f"{prefix}{name}.{kind}" for kind in OUTPUTS)]
    return [
        layer(f"{prefix}app", "--manifest=capsule.yml", "src\tstart.sh\tstart.sh", "src\tdata\tdata"),
        layer(f"{prefix}bad", "--manifest=bad.yml"),
        layer(f"{prefix}many", "--executable=[", "unfit\ta\\tb", "src\tabsent\tabsent"),
        [*compiled, f"--facts={prefix}compiled", f"--bytecode={release}"],
        [*wheel, f"--facts={prefix}wheel.facts"],
        python_lines(
            "python-base", f"{prefix}base", f"--facts={prefix}wheel.facts", "requirements\trequirements.txt\tr"
        ),
        python_lines("python-base", f"{prefix}none", "requirements\trequirements.txt\tr"),
        python_lines("interpreter", f"{prefix}interpreter", "interpreter\tstart.sh\tbin/python3.11"),
        assembly,
        ["frobnicate"],
        [],
    ]


def one_shot(place: Path, arguments: list[str]) -> tuple[int, str]:
    (place / "params").write_text("".join(f"{line}\n" for line in arguments))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run(command("@params"), cwd=place, env=environment, capture_output=True, text=True)
    assert not ran.stdout
    return ran.returncode, ran.stderr


def test_every_action_gives_the_same_bytes_and_words_as_in_a_process_of_its_own(place: Path) -> None:
    inputs = {path.name for path in place.iterdir()}
    alone = [one_shot(place, arguments) for arguments in every_kind("")]
    expected = {
        path: (place / path).read_bytes() for path in {file.name for file in place.iterdir()} - inputs - {"params"}
    }
    assert [status for status, _ in alone] == [0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1]
    for path in expected:
        (place / path).unlink()
    for _ in range(2):  # the second time over outputs that are there, in the same process
        requests = [request(arguments) for arguments in every_kind("")] * 2
        found = answered(place, *requests)
        assert [(status, said) for status, said, _ in found] == alone * 2
        assert {path: (place / path).read_bytes() for path in expected} == expected


def test_what_is_unknown_in_a_request_is_passed_over_and_its_number_comes_back(place: Path) -> None:
    lines = [text(1, line.encode()) for line in layer("app", "src\tstart.sh\tstart.sh")]
    unknown = [text(2, text(1, b"start.sh") + text(2, b"0" * 64)), number(5, 10), text(99, b"\xff"), number(98, -1)]
    fixed = [varint(97 << 3 | 1) + bytes(8), varint(96 << 3 | 5) + bytes(4)]
    mixed = [field for line in lines for field in (line, *unknown, *fixed)]
    assert answered(place, framed(*mixed, number(3, 7)), framed(*lines, number(3, -2)), framed(*lines)) == [
        (0, "", 7),
        (0, "", 2**64 - 2),
        (0, "", 0),
    ]


def test_a_cancellation_comes_too_late_and_gets_no_answer(place: Path) -> None:
    lines = layer("app", "src\tstart.sh\tstart.sh")
    assert answered(place, request(lines, number(3, 1)), framed(number(3, 1), number(4, 1)), request(lines)) == [
        (0, "", 1),
        (0, "", 0),
    ]


def test_a_sandbox_that_was_not_offered_is_refused(place: Path) -> None:
    found = answered(place, request(layer("app"), text(6, b"__sandbox/1")))
    assert found == [(1, "ERROR: This worker has no sandboxes of its own\n", 0)]
    assert not (place / "app.fragment").exists()


def test_the_end_of_the_requests_ends_the_worker_well(place: Path) -> None:
    assert answered(place) == []


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"\xff", "its length is broken off"),
        (b"\xff" * 5 + b"\x01", "its length is none"),
        (varint(2**31), "it is of 2147483648 bytes"),
        (b"\x05\x0a\x01", "it ends after 2 of 5 bytes"),
        (b"\x02\x0a\x05", "field 1 is longer than the message"),
        (b"\x01\x0a", "a number is broken off"),
        (b"\x02\x0a\xff", "a number is broken off"),
        (b"\x0b\x18" + b"\xff" * 9 + b"\x02", "a number is too large"),
        (b"\x0c\x18" + b"\xff" * 10 + b"\x01", "a number is too large"),
        (b"\x02\x08\x01", "field 1 is of kind 0"),
        (b"\x02\x1a\x00", "field 3 is of kind 2"),
        (b"\x01\x02", "field 0 is of kind 2"),
        (b"\x01\x7b", "field 15 is of kind 3"),
        (b'{"arguments": ["layer"]}', "it ends after 23 of 123 bytes"),
    ],
)
def test_what_is_no_request_ends_the_worker_in_words(garbage: bytes, reason: str, place: Path) -> None:
    ran = work(place, request(layer("app", "src\tstart.sh\tstart.sh")) + garbage)
    assert list(answers(ran.stdout)) == [(0, "", 0)]
    assert (ran.returncode, ran.stderr.decode()) == (1, f"ERROR: Not a request of Bazel's: {reason}\n")


NOISY = """
import os, subprocess, sys
from capsule_builder.actions import main as action
from capsule_builder.actions.worker import serve

def act(lines):
    print("printed", flush=True)
    os.write(1, b"written")
    subprocess.run(["sh", "-c", "cat; echo from a child"], check=True)
    sys.stderr.write("said \\udcff")
    if lines:
        raise RuntimeError("broken")
    return 0

sys.exit(serve(act))
"""


def test_nothing_that_is_printed_is_taken_for_an_answer_and_no_error_ends_the_worker(place: Path) -> None:
    ran = work(place, request([]) + request(["x"], number(3, 5)) + request([]), NOISY)
    first, second, third = answers(ran.stdout)
    assert ran.returncode == 0
    assert first == third == (0, "said \\udcff", 0)
    assert (second[0], second[2]) == (1, 5)
    assert second[1].startswith("said \\udcffTraceback") and second[1].endswith("RuntimeError: broken\n")
    assert ran.stderr.decode() == "printed\nwrittenfrom a child\n" * 3


class Worker:
    """A worker that is asked one thing at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def ask(self, arguments: list[str]) -> tuple[int, str]:
        """Status and output of the answer."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(request(arguments))
        self._process.stdin.flush()
        length, shift, prefix = 0, 0, b""
        while not prefix or prefix[-1] > 127:
            prefix += self._process.stdout.read(1)
            length |= (prefix[-1] & 127) << shift
            shift += 7
        [(status, said, _)] = answers(prefix + self._process.stdout.read(length))
        return status, said

    def state(self) -> dict[str, object]:
        """What the kernel knows of the process that an action could have changed."""
        proc = Path("/proc", str(self.pid))
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
        signals = {name: value for name, value in status.items() if name.startswith("Sig") and name != "SigQ"}
        files = {file.name: os.readlink(file) for file in (proc / "fd").iterdir()}
        return {
            "umask": status["Umask"],
            "directory": os.readlink(proc / "cwd"),
            "files": files,
            "threads": status["Threads"],
            "children": (proc / "task" / str(self.pid) / "children").read_text(),
            **signals,
        }

    def resident(self) -> int:
        """The memory that it holds, in bytes."""
        return int(Path("/proc", str(self.pid), "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@contextlib.contextmanager
def running(place: Path, start: str = START) -> Iterator[Worker]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        command("--persistent_worker", start=start),
        cwd=place,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Worker(process)
        assert process.stdin
        process.stdin.close()
        assert process.wait(30) == 0


WATCHED = """
import os, sys, warnings, locale, signal
from capsule_builder.actions import main as action
from capsule_builder.actions.worker import serve

def state():
    return dict(os.environ), list(warnings.filters), sys.path[:], locale.setlocale(locale.LC_ALL)

def act(lines):
    before = state()
    status = action._act(lines)
    if state() != before:
        raise RuntimeError("the state of the process is another")
    return 0

sys.exit(serve(act))
"""


def test_an_action_leaves_the_process_as_it_was(place: Path) -> None:
    kinds = [arguments for arguments in every_kind("") if arguments]
    with running(place, WATCHED) as worker:
        for arguments in kinds:
            assert worker.ask(arguments)[0] == 0
        time.sleep(0.5)
        before = worker.state()
        for arguments in kinds:
            assert worker.ask(arguments)[0] == 0
            for _ in range(100):  # a thread that was told to end needs a moment
                if worker.state() == before:
                    break
                time.sleep(0.05)
            assert worker.state() == before


def test_memory_does_not_grow_with_the_number_of_requests(place: Path) -> None:
    good = [
        kind for kind in every_kind("") if kind and kind[0] in ("layer", "wheel", "assemble") and "bad" not in str(kind)
    ]
    good = [kind for kind in good if not any(line.startswith(("--bytecode", "--executable")) for line in kind)]
    with running(place) as worker:
        for number in range(60):
            assert worker.ask(good[number % len(good)]) == (0, "")
        before = worker.resident()
        for number in range(300):
            assert worker.ask(good[number % len(good)]) == (0, "")
        assert worker.resident() - before < 2 << 20
