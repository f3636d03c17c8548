"""The walls that a unit had, beside those of the template: what the manifest's ``sandbox`` must open, or can close.

A wall is opened when a line of the unit shows the need, and closed when the service lived behind it before. What no
word of the manifest opens or closes is told.
"""

from __future__ import annotations

from collections.abc import Callable

from capsule_deploy.migrate.model import Findings, Origin, Walls
from capsule_deploy.migrate.systemd.unit import Unit

_GPU = ("/dev/nvidia", "/dev/dri", "/dev/kfd", "char-drm", "char-nvidia")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
_FAMILIES = frozenset({"AF_UNIX", "AF_LOCAL", "AF_INET", "AF_INET6", "AF_NETLINK", "none"})
_CALLS = frozenset(
    f"@{name}" for name in ("mount", "raw-io", "reboot", "module", "swap", "clock", "debug", "privileged", "setuid")
)
_NO = frozenset({"no", "false", "off", "0"})
_YES = frozenset({"yes", "true", "on", "1"})
_TEMPLATES = frozenset([
    "NoNewPrivileges", "PrivateTmp", "PrivateDevices", "PrivateMounts", "ProtectSystem", "ProtectHome",
    "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock",
    "ProtectHostname", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "RemoveIPC",
])  # fmt: skip
"""Walls of the template that a unit can say no to."""


class WallReader:
    """Reads those of one unit into ``walls``."""

    def __init__(self, unit: Unit, findings: Findings) -> None:
        self._unit = unit
        self._findings = findings
        self.walls = Walls()

    def tell(self, key: str, value: str, origin: Origin) -> bool:
        """Reads a line; False when it is not about walls, or says no more than the template does."""
        if key in _TEMPLATES and value.lower() in _NO:
            message = "The old unit left this wall open; the template closes it, and the manifest has no word for it."
            remedy = "Check that the application does without."
            if key == "PrivateDevices":
                remedy += " For the devices of graphics cards write sandbox: { allow: [gpu] }."
            self._findings.left("hardening", key, message, remedy, origin)
            return True
        handler = _HANDLERS.get(key)
        return handler is not None and handler(self, key, value, origin)

    def _opened(self, word: str, key: str, origin: Origin) -> bool:
        self.walls.open(word, key, origin)
        return True

    def _closed(self, word: str, key: str, origin: Origin) -> bool:
        self.walls.close(word, key, origin)
        return True

    def _nothing_opens(self, what: str, key: str, origin: Origin) -> bool:
        message = f"Nothing in a manifest opens {what}."
        self._findings.left("capabilities", key, message, "Let the host do what needs it.", origin)
        return True

    def _device(self, key: str, value: str, origin: Origin) -> bool:
        device = value.split()[0]
        if device.startswith(_GPU):
            return self._opened("gpu", key, origin)
        if device in _DEVICES:
            self._findings.carried(key, "Every service has this device.", origin)
            return True
        return self._nothing_opens(device, key, origin)

    def _capabilities(self, key: str, value: str, origin: Origin) -> bool:
        if value.startswith("~"):
            return False
        names = value.upper().split()
        if key == "AmbientCapabilities" and "CAP_SYS_NICE" in names:
            self._opened("scheduling", key, origin)
        message = "A capsule's service has no capabilities and no rights beyond its own account's."
        remedies = []
        if "CAP_NET_BIND_SERVICE" in names:
            remedies.append("If it listens on a port below 1024, the manifest needs sandbox: { allow: [low-ports] }.")
        if others := [name for name in names if name not in ("CAP_NET_BIND_SERVICE", "CAP_SYS_NICE")]:
            remedies.append(f"Nothing in a manifest gives {', '.join(others)}: let the host do what needs rights.")
        self._findings.left("capabilities", key, message, " ".join(remedies), origin)
        return True

    def _families(self, key: str, value: str, origin: Origin) -> bool:
        if value.startswith("~"):
            return False
        families = value.split()
        if "AF_NETLINK" in families:
            self._opened("netlink", key, origin)
        if others := [family for family in families if family not in _FAMILIES]:
            return self._nothing_opens(", ".join(others), key, origin)
        lists = [one.split() for one, _ in self._unit.all(key) if not one.startswith("~")]
        if {family for one in lists for family in one} <= {"AF_UNIX", "AF_LOCAL", "none"}:
            return self._closed("network", key, origin)
        return "AF_NETLINK" in families

    def _calls(self, key: str, value: str, origin: Origin) -> bool:
        calls = value.split()
        if value.startswith("~"):
            return False
        if "@resources" in calls:
            self._opened("scheduling", key, origin)
        if closed := sorted(_CALLS.intersection(calls)):
            return self._nothing_opens(", ".join(closed), key, origin)
        return "@resources" in calls

    def _addresses(self, key: str, value: str, origin: Origin) -> bool:
        if key == "IPAddressDeny" and value == "any" and not self._unit.all("IPAddressAllow"):
            return self._closed("network", key, origin)
        message = "The manifest has no rules by address: a service reaches the network, or with sandbox.deny nothing."
        self._findings.left("hardening", key, message, "Let the host's firewall do it.", origin)
        return True

    def _no_network(self, key: str, value: str, origin: Origin) -> bool:
        return value.lower() in _YES and self._closed("network", key, origin)

    def _no_jit(self, key: str, value: str, origin: Origin) -> bool:
        return value.lower() in _YES and self._closed("jit", key, origin)

    def _proc(self, key: str, value: str, origin: Origin) -> bool:
        return value == "all" and self._opened("proc", key, origin)

    def _processes(self, key: str, value: str, origin: Origin) -> bool:
        return value == "default" and self._nothing_opens("the processes of other accounts", key, origin)


_HANDLERS: dict[str, Callable[[WallReader, str, str, Origin], bool]] = {
    "DeviceAllow": WallReader._device,
    **dict.fromkeys(("AmbientCapabilities", "CapabilityBoundingSet"), WallReader._capabilities),
    "RestrictAddressFamilies": WallReader._families,
    "SystemCallFilter": WallReader._calls,
    **dict.fromkeys(("IPAddressDeny", "IPAddressAllow"), WallReader._addresses),
    "PrivateNetwork": WallReader._no_network,
    "MemoryDenyWriteExecute": WallReader._no_jit,
    "ProcSubset": WallReader._proc,
    "ProtectProc": WallReader._processes,
}
