"""A real browser without a screen, driven over the DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

_PATIENCE = 60  # seconds


class Page:
    """One page: what it asked for, what it complained of, and what becomes of a script run in it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._session = ""
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._loaded = False
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> Any:
        """What the browser answers; the events that come first are noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path: Path, *, dark: bool = False) -> None:
        """Opens a file, and waits until it is there."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.command("Emulation.setEmulatedMedia", features=scheme)
        size = {"width": 1400, "height": 1600, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        self._loaded = False
        self.command("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._next()
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript."""
        result = self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def click(self, script: str) -> None:
        """Clicks with the mouse on the middle of the element that the expression gives."""
        self.run(f"{script}.scrollIntoView({{block: 'center'}})")
        place = self.run(f"{script}.getBoundingClientRect().toJSON()")
        middle = {"x": place["x"] + place["width"] / 2, "y": place["y"] + place["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **middle)

    def press(self, key: str, text: str = "") -> None:
        """Presses a key, and lets go of it."""
        codes = {"Enter": 13, "Escape": 27, "Tab": 9}
        options: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        self.command("Input.dispatchKeyEvent", type="keyDown", **options, **({"text": text} if text else {}))
        self.command("Input.dispatchKeyEvent", type="keyUp", **options)

    def screenshot(self) -> bytes:
        """The page as a PNG."""
        return base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"])

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(timeout=_PATIENCE))
        method, given = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif method in {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}:
            self.complaints.append(json.dumps(given))
        elif method == "Page.loadEventFired":
            self._loaded = True
        return message


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A page in a Chromium that keeps what it keeps in ``profile``."""
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    options += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(["chromium", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            port = profile / "DevToolsActivePort"
            end = time.monotonic() + _PATIENCE
            while not (port.exists() and port.read_text().count("\n") == 1):
                assert process.poll() is None and time.monotonic() < end, "chromium does not start"
                time.sleep(0.05)
            number, path = port.read_text().split("\n")
            with connect(f"ws://127.0.0.1:{number}{path}", max_size=None, proxy=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
