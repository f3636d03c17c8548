"""The two things that systemd and a service say to each other: here is your socket, and I am ready.

The protocols are those of ``sd_listen_fds(3)`` and ``sd_notify(3)``. Without systemd both do nothing.
"""

from __future__ import annotations

import os
import socket


def inherited_socket() -> socket.socket | None:
    """The listening socket that the service manager opened for this process, if there is exactly one."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    listener = socket.socket(fileno=3)
    listener.set_inheritable(False)
    return listener


def notify(state: str) -> None:
    """Tells the service manager, if there is one, a line such as ``READY=1``."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        manager.sendto(state.encode(), address)
