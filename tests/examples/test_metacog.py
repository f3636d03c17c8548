"""examples/metacog keeps its word: it runs from a read-only directory anywhere, and forgets nothing."""

from __future__ import annotations

import hashlib
import http.client
import importlib
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
import yaml

from tests.examples.metacog_service import BRIDGE, CORE, running
from tests.examples.metacog_venv import metacog_python

SOURCE = Path(__file__).parents[2] / "examples" / "metacog"


def tree_of(root):
    """Every path below a directory, with its bytes and mode."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(root.rglob("*"))
    }


def set_writable(root, writable):
    for path in [root, *root.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | 0o200 if writable else mode & ~0o222)


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """The application as a capsule would hold it: read-only, under a path with a space in it."""
    root = tmp_path_factory.mktemp("metacog") / "release 2.1.0"
    shutil.copytree(SOURCE, root, ignore=shutil.ignore_patterns("__pycache__"))
    set_writable(root, False)
    before = tree_of(root)
    yield root
    after = tree_of(root)
    set_writable(root, True)
    assert after == before, "the service wrote beside its code"


@pytest.fixture
def code(monkeypatch):
    """Imports a module of the application that needs none of its packages."""
    monkeypatch.syspath_prepend(str(SOURCE))
    return lambda name: importlib.import_module(f"alan_backend.{name}")


def in_python(script, *arguments):
    """What a script prints as JSON, run by the Python that has the application's packages."""
    command = [metacog_python(), "-B", "-c", script, *map(str, arguments)]
    return json.loads(subprocess.run(command, cwd=SOURCE, check=True, stdout=subprocess.PIPE, timeout=120).stdout)


def kept_in(state):
    """All thoughts of a state directory, read as any Parquet reader would."""
    script = """
import json, pathlib, sys, pyarrow.parquet as pq
tables = [pq.read_table(path) for path in sorted(pathlib.Path(sys.argv[1]).glob("*.parquet"))]
print(json.dumps([row for table in tables for row in table.select(["id", "text"]).to_pylist()]))
"""
    return {thought["id"]: thought["text"] for thought in in_python(script, state / "metacognitive")}


def segments(state):
    return sorted(path.name for path in (state / "metacognitive").glob("thoughts-*"))


def test_health_names_the_application_and_its_build(app, tmp_path):
    with running(app, tmp_path, {"BUILD_SHA": "c0ffee"}) as service:
        reply = service.get("/healthz")
    manifest = yaml.safe_load((SOURCE / "capsule.yml").read_text())
    assert reply.status == 200
    assert reply.json == {
        "status": "ok",
        "name": manifest["name"],
        "version": manifest["version"],
        "build_sha": "c0ffee",
        "thoughts": 0,
    }


def test_the_services_are_what_the_manifest_says():
    manifest = yaml.safe_load((SOURCE / "capsule.yml").read_text())
    script = """
import json, sys
from alan_backend.settings import BridgeSettings, CoreSettings
environment = json.loads(sys.argv[1])
services = {"metacognitive-core": CoreSettings, "websocket-bridge": BridgeSettings}
print(json.dumps({name: kind.model_validate(environment).port for name, kind in services.items()}))
"""
    ports = in_python(script, json.dumps(manifest["env"]))
    for service in manifest["services"]:
        assert (SOURCE / service.get("entrypoint", manifest["entrypoint"])).is_file()
        assert service["health"]["port"] == ports.pop(service["name"])
    assert not ports
    assert (SOURCE / manifest["dependencies"]["pip_requirements"]).is_file()


@pytest.mark.parametrize(
    ("text", "stance", "scores"),
    [
        ("I will never try", "intention", {"certainty": 0.25, "doubt": 0.0, "intention": 0.5}),
        ("Maybe it seems so, definitely", "doubt", {"certainty": 0.2, "doubt": 0.4, "intention": 0.0}),
        ("maybe, clearly", "certainty", {"certainty": 0.5, "doubt": 0.5, "intention": 0.0}),
        ("The sky is grey", "observation", {"certainty": 0.0, "doubt": 0.0, "intention": 0.0}),
        ("42 …", "observation", {"certainty": 0.0, "doubt": 0.0, "intention": 0.0}),
        ("I can’t say", "doubt", {"certainty": 0.0, "doubt": 0.333, "intention": 0.0}),
    ],
)
def test_reflection_is_a_function_of_the_text(code, text, stance, scores):
    reflection = code("reflection")
    mirror = reflection.load_mirror(SOURCE / "config" / "stances.json")
    answer = mirror.reflect(text)
    assert (answer["stance"], answer["scores"]) == (stance, scores)
    assert mirror.reflect(text) == answer


def test_thoughts_are_kept_over_a_restart(app, tmp_path):
    with running(app, tmp_path) as service:
        first = service.reflect("Perhaps it rains")
        assert service.reflect("Ünïcode \U0001f600 \0 — and a\nnew line").status == 200
        assert service.stop() == 0
    assert first.json["stance"] == "doubt"
    assert first.json["question"].endswith("?")
    with running(app, tmp_path) as service:
        assert service.reflect("again").json["id"] == 3
        thoughts = service.get("/v1/thoughts").json
        assert service.get("/v1/thoughts?limit=1").json == {"count": 3, "thoughts": thoughts["thoughts"][-1:]}
    assert thoughts["count"] == 3
    assert thoughts["thoughts"][0] == first.json
    assert [thought["text"] for thought in thoughts["thoughts"][1:]] == [
        "Ünïcode \U0001f600 \0 — and a\nnew line",
        "again",
    ]


def test_no_answered_thought_is_lost_when_the_service_is_killed(app, tmp_path):
    """Four clients write as fast as they can while the service is killed at a random moment, three times over."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    moment = random.Random(seed)
    answered: dict[int, str] = {}

    def write_until_it_dies(service, name):
        try:
            for number in range(1_000_000):
                text = f"thought {number} of {name} " + "x" * 2000
                answered[service.reflect(text).json["id"]] = text
        except (OSError, http.client.HTTPException):
            pass

    for life in range(3):
        with running(app, tmp_path, {"MAX_TOKENS_PER_MIN": "1000000"}) as service:
            writers = [threading.Thread(target=write_until_it_dies, args=(service, f"{life}.{i}")) for i in range(4)]
            for writer in writers:
                writer.start()
            time.sleep(moment.uniform(0.1, 0.5))
            service.process.kill()
            for writer in writers:
                writer.join()
            assert service.process.wait() == -signal.SIGKILL
    with running(app, tmp_path) as service:
        count = service.get("/healthz").json["thoughts"]
    kept = kept_in(tmp_path)
    assert len(answered) > 3
    assert answered.items() <= kept.items()
    assert list(kept) == list(range(1, count + 1))


def test_no_thought_is_lost_at_whatever_step_the_store_dies(tmp_path):
    script = Path(__file__).with_name("dies_at_every_step.py")
    command = [metacog_python(), script, SOURCE, tmp_path]
    lives = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120).stdout)
    for acknowledged, found, files in lives:
        assert acknowledged <= found <= acknowledged + 1  # the one under way may be there, whole
        assert all(name == "lock" or name.endswith(".parquet") for name in files)
    assert [life[:2] for life in lives].count([11, 11]) >= 2  # the ones that lived to the end
    merged = ["lock", *(f"thoughts-{first:012}-{last:012}.parquet" for first, last in [(1, 9), (10, 10), (11, 11)])]
    assert lives[-1][2] == merged


def test_a_thought_is_on_the_disk_before_it_is_answered(tmp_path):
    script = """
import json, os, pathlib, sys
from alan_backend.store import Store
steps = []
def seen(name, real):
    return lambda *arguments: steps.append(name) or real(*arguments)
store = Store(pathlib.Path(sys.argv[1]))
for name in ("fsync", "rename"):
    setattr(os, name, seen(name, getattr(os, name)))
store.append({"text": "t", "stance": "s", "question": "?", "scores": {}})
print(json.dumps(steps))
"""
    assert in_python(script, tmp_path) == ["fsync", "rename", "fsync"]  # the file, its name, the directory


def test_segments_are_merged_and_the_file_that_a_crash_left_is_removed(app, tmp_path):
    with running(app, tmp_path, {"MAX_TOKENS_PER_MIN": "100000"}) as service:
        for number in range(1, 67):
            assert service.reflect(f"number {number}").json["id"] == number
        assert service.get("/healthz").json["thoughts"] == 66
    assert segments(tmp_path) == [
        "thoughts-000000000001-000000000064.parquet",
        "thoughts-000000000065-000000000065.parquet",
        "thoughts-000000000066-000000000066.parquet",
    ]
    directory = tmp_path / "metacognitive"
    last = directory / segments(tmp_path)[-1]
    (directory / "unfinished.tmp").write_bytes(last.read_bytes()[:-20])
    with running(app, tmp_path) as service:
        thoughts = service.get("/v1/thoughts?limit=1000").json["thoughts"]
    assert [thought["text"] for thought in thoughts] == [f"number {number}" for number in range(1, 67)]
    assert not (directory / "unfinished.tmp").exists()
    assert kept_in(tmp_path) == {number: f"number {number}" for number in range(1, 67)}


def test_damage_that_no_crash_explains_is_refused(app, tmp_path):
    state, directory = tmp_path / "state", tmp_path / "state" / "metacognitive"
    with running(app, state) as service:
        for text in ("one", "two", "three"):
            service.reflect(text)
        first, second, third = (directory / name for name in segments(state))
        third.rename(tmp_path / "third")
        refused = service.reflect("four")
        assert refused.status == 503
        assert refused.json == {
            "detail": f"the state cannot be used: {directory}: thought 3 was taken away; restore it from a copy"
        }
    whole = second.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"two")] ^= 1
    for damaged, reason in [
        (b"", "cannot be read"),
        (whole[:-1], "cannot be read"),
        (bytes(flipped), "cannot be read"),
        (first.read_bytes(), "does not hold what its name says"),
    ]:
        second.write_bytes(damaged)
        result = start(app, {"TORI_STATE_ROOT": str(state)})
        assert result.returncode == os.EX_CONFIG
        assert result.stderr.startswith(f"error: {second}: {reason}; restore it from a copy")
        assert "Traceback" not in result.stderr
    second.unlink()
    (tmp_path / "third").rename(third)
    result = start(app, {"TORI_STATE_ROOT": str(state)})
    assert result.returncode == os.EX_CONFIG
    assert result.stderr == (
        f"error: {directory}: there is no segment that begins with thought 2; restore it from a copy\n"
    )


def test_two_releases_share_one_state_directory_while_they_hand_over(app, tmp_path):
    generous = {"MAX_TOKENS_PER_MIN": "100000"}
    with running(app, tmp_path, generous) as old, running(app, tmp_path, generous) as new:
        identities = [service.reflect("over").json["id"] for service in (old, new, new, old, new)]
        assert identities == [1, 2, 3, 4, 5]
        assert old.get("/v1/thoughts").json == new.get("/v1/thoughts").json

        def write(service):
            identities.extend([service.reflect("and over").json["id"] for _ in range(40)])

        writers = [threading.Thread(target=write, args=(service,)) for service in (old, new)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert sorted(identities) == list(range(1, 86))
        assert old.get("/v1/thoughts").json == new.get("/v1/thoughts").json


def test_a_full_disk_is_an_error_and_not_a_lie(app, tmp_path):
    """No file may grow beyond 10,000 bytes here, as the file size limit of the process."""
    limited = ["prlimit", "--fsize=10000:10000", metacog_python()]
    with running(app, tmp_path, python=limited) as service:
        assert service.reflect("small").status == 200
        refused = service.reflect(random.Random(1).randbytes(15000).hex())
        assert refused.status == 503
        assert "the state cannot be used" in refused.json["detail"]
        assert service.reflect("small again").json["id"] == 2
        assert service.get("/healthz").json["thoughts"] == 2
    assert list(kept_in(tmp_path).values()) == ["small", "small again"]


def test_words_above_the_rate_are_refused_with_the_time_to_wait(app, tmp_path):
    with running(app, tmp_path, {"MAX_TOKENS_PER_MIN": "60"}) as service:
        assert service.reflect("word " * 60).status == 200
        refused = service.reflect("word " * 30)
        assert refused.status == 429
        assert 28 <= int(refused.headers["Retry-After"]) <= 30
        never = service.reflect("word " * 61)
        assert never.status == 413
        assert "Retry-After" not in never.headers
        assert service.get("/v1/thoughts").json["count"] == 1


def test_the_bucket_refills_evenly_and_never_overflows(code):
    now = 0.0
    bucket = code("token_bucket").TokenBucket(120, clock=lambda: now)
    assert bucket.take(120) == 0
    assert bucket.take(1) == 1
    now = 30.0
    assert bucket.take(61) == 1
    assert bucket.take(60) == 0
    now = 1000.0
    assert bucket.take(120) == 0
    assert bucket.take(1) == 1


JSON = {"Content-Type": "application/json"}
CHUNKED = b"10001\r\n" + b"x" * 65537 + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/v1/reflect", b"{", JSON, 422),
        ("POST", "/v1/reflect", b"[" * 60000, JSON, 400),
        ("POST", "/v1/reflect", b"\xff", JSON, 400),
        ("POST", "/v1/reflect", b"[]", JSON, 422),
        ("POST", "/v1/reflect", b'{"text": 1}', JSON, 422),
        ("POST", "/v1/reflect", b'{"text": " "}', JSON, 422),
        ("POST", "/v1/reflect", b'{"text": "\\ud800"}', JSON, 422),
        ("POST", "/v1/reflect", None, JSON, 422),
        # What a page of another site could send without the browser asking first.
        ("POST", "/v1/reflect", b'{"text": "x"}', {"Content-Type": "text/plain"}, 422),
        ("POST", "/v1/reflect", b'{"text": "x"}', {}, 422),
        ("POST", "/v1/reflect", b'{"text": "' + b"x" * 65536 + b'"}', JSON, 413),
        ("POST", "/v1/reflect", b"x", {**JSON, "Content-Length": "-1"}, 400),
        (
            "POST",
            "/v1/reflect",
            CHUNKED,
            {**JSON, "Transfer-Encoding": "chunked"},
            413,
        ),
        ("GET", "/v1/reflect", None, {}, 405),
        ("GET", "/v1/thoughts?limit=0", None, {}, 422),
        ("GET", "/v1/thoughts?limit=1001", None, {}, 422),
        ("GET", "/v1/thoughts?limit=%C2%B2", None, {}, 422),
        ("GET", "/nothing", None, {}, 404),
        ("GET", "/docs", None, {}, 404),
        ("GET", "/static/../capsule.yml", None, {}, 404),
        ("GET", "/static/%2e%2e/capsule.yml", None, {}, 404),
        ("DELETE", "/", None, {}, 405),
    ],
)
def test_bad_requests_are_refused_and_change_nothing(service, method, path, body, headers, status):
    reply = service.request(method, path, body, headers)
    assert reply.status == status
    if reply.headers["Content-Type"] == "application/json":
        assert isinstance(reply.json["detail"], str)
    assert service.get("/healthz").json["thoughts"] == 0


@pytest.fixture(scope="module")
def service(app, tmp_path_factory):
    with running(app, tmp_path_factory.mktemp("state"), {"BUILD_SHA": "c0ffee"}) as service:
        yield service


def test_the_page_and_all_that_it_names_are_served(service):
    page = service.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Content-Security-Policy"] == "default-src 'self'"
    for name in ("page.css", "page.js"):
        assert f"/static/{name}".encode() in page.body
        assert service.get(f"/static/{name}").body == (SOURCE / "static" / name).read_bytes()
    assert service.request("HEAD", "/").body == b""
    assert page.headers["Cache-Control"] == "no-store"


def test_the_access_log_names_the_build_and_cannot_be_forged(service):
    # http.client would not send this path, so it goes by hand.
    host, port = service.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("GET /é\x1b[31m\rforged HTTP/1.1\r\n\r\n".encode("latin-1"))
        while connection.recv(4096):
            pass
    service.get("/healthz?marker")
    deadline = time.monotonic() + 10
    while not any("marker" in line for line in service.log):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert all(
        line.isascii() and line.strip().isprintable() and line.endswith("build=c0ffee\n") for line in service.log
    )
    assert any('"GET /healthz?marker HTTP/1.1" 200' in line for line in service.log)


def start(app, env, entrypoint=CORE):
    """Starts a service where it is expected to fail."""
    command = [metacog_python(), str(app / entrypoint), "--port", "0"]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=20, cwd="/")


def test_every_problem_of_the_environment_is_told_at_once(app):
    result = start(app, {"MAX_TOKENS_PER_MIN": "abc", "TORI_HOST": "localhost", "BUILD_SHA": "two words"})
    assert result.returncode == os.EX_CONFIG
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: TORI_HOST: value is not a valid IPv4 or IPv6 address; not 'localhost'",
        "error: BUILD_SHA: String should match pattern '^[!-~]{1,128}$'; not 'two words'",
        "error: TORI_STATE_ROOT: must be set",
        "error: MAX_TOKENS_PER_MIN: Input should be a valid integer, unable to parse string as an integer; not 'abc'",
    ]
    result = start(app, {"TORI_STATE_ROOT": "state"})
    assert result.stderr == (
        "error: TORI_STATE_ROOT: Value error, must be an absolute path, such as /opt/tori/state; not 'state'\n"
    )


@pytest.mark.parametrize("entrypoint", [CORE, BRIDGE])
def test_a_port_that_is_taken_is_no_traceback(app, tmp_path, entrypoint):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [metacog_python(), str(app / entrypoint), "--port", str(taken.getsockname()[1])]
        env = {"TORI_STATE_ROOT": str(tmp_path)}
        result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20)
    assert result.returncode == os.EX_CONFIG
    assert result.stderr.startswith("error: [Errno 98] ")
    assert "Traceback" not in result.stderr


def test_a_state_root_that_cannot_be_used_is_named(app, tmp_path):
    (tmp_path / "file").write_text("")
    result = start(app, {"TORI_STATE_ROOT": str(tmp_path / "file")})
    assert result.returncode == os.EX_CONFIG
    assert result.stderr.startswith("error: ")
    assert str(tmp_path / "file") in result.stderr
    assert "Traceback" not in result.stderr


def test_sigterm_lets_the_request_under_way_finish(app, tmp_path):
    body = b'{"text": "slowly"}'
    with running(app, tmp_path, {"BUILD_SHA": "c0ffee"}) as service:
        host, port = service.base_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = f"POST /v1/reflect HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body[:5])
            service.get("/healthz")  # by now the slow one has been accepted too
            service.process.terminate()
            time.sleep(0.5)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((host, int(port)), timeout=10)
            connection.sendall(body[5:])
            answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert service.process.wait(10) == 0
    assert service.log[-1] == f"INFO Finished server process [{service.process.pid}] build=c0ffee\n"
    assert list(kept_in(tmp_path).values()) == ["slowly"]


def test_systemd_may_hand_over_the_socket_and_hears_when_the_service_is_ready(app, tmp_path):
    """The protocols are real; systemd itself is played by this test: it opens descriptor 3 and listens for READY=1."""
    public = tmp_path / "core.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        listener.bind(str(public))
        listener.listen()
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        activate = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
            "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
        )
        process = subprocess.Popen(
            [metacog_python(), "-c", activate, str(listener.fileno()), str(app / CORE)],
            env={"LISTEN_FDS": "1", "NOTIFY_SOCKET": str(tmp_path / "notify"), "TORI_STATE_ROOT": str(tmp_path)},
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert manager.recv(100) == b"READY=1"
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(str(public))
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
            process.terminate()
            assert manager.recv(100) == b"STOPPING=1"
            out, log = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0
    assert out == f"listening on unix:{public}\n"
    assert '"GET /healthz HTTP/1.1" 200 build=unknown\n' in log
