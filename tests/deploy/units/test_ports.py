"""Which ports processes listen on, asked of the kernel."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from capsule_deploy.ports import foreign, listening


def test_what_a_process_listens_on_is_seen_and_what_it_is_connected_to_is_not() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as tcp6,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket() as bound,
        socket.create_connection(tcp.getsockname()) as client,
    ):
        udp.bind(("127.0.0.1", 0))
        bound.bind(("127.0.0.1", 0))
        found = listening([os.getpid()])
        assert {tcp.getsockname()[1], tcp6.getsockname()[1], udp.getsockname()[1]} <= set(found)
        assert not {bound.getsockname()[1], client.getsockname()[1]} & set(found)


def test_the_ports_of_others_and_of_the_dead_are_none() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        assert listening([other.pid]) == []
        other.communicate(b"\n")
        assert listening([other.pid]) == []


def test_a_port_is_foreign_when_another_process_holds_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        for port in (tcp.getsockname()[1], six.getsockname()[1]):
            assert not foreign(port, [other.pid, os.getpid()])
            assert foreign(port, [other.pid])
            assert foreign(port, [])
        other.communicate(b"\n")
        port = tcp.getsockname()[1]
    assert not foreign(port, [])


def test_a_port_of_another_network_is_no_port_of_the_host() -> None:
    code = """if True:
        import socket, sys
        listener = socket.create_server(("0.0.0.0", 0))
        print("listens", flush=True)
        input()
    """
    command = ["unshare", "--net", sys.executable, "-c", code]
    inside = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert inside.stdout is not None
    assert inside.stdout.readline() == b"listens\n"
    assert listening([inside.pid]) == []
    inside.communicate(b"\n")
