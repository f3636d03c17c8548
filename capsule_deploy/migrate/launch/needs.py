"""What a process needs of the sandbox, as far as its ports and variables say."""

from __future__ import annotations

from collections.abc import Iterable

from capsule_deploy.migrate.model import Process, Walls

_GPU = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
_NO_GPU = ("", "-1", "none", "void", "NoDevFiles")


def walls_of(process: Process, ports: Iterable[int]) -> Walls:
    """The process's walls, with those open that stand between it and its ports, or the graphics cards it names."""
    walls = process.walls.copy()
    for port in ports:
        if is_low(port):
            walls.open("low-ports", f"port {port}", process.origin)
    for name in _GPU:
        if name in process.env and process.env[name].value not in _NO_GPU:
            walls.open("gpu", name, process.env[name].origin)
    return walls


def is_low(port: int) -> bool:
    """Whether a service may listen on the port only where the manifest allows it."""
    return 0 < port < 1024
