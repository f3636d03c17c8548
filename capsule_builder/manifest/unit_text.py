"""Text that reaches a systemd unit, and the paths of the capsule that do.

A line break ends a unit file's line, a backslash at its end joins it to the next, and ``%`` begins a specifier. There
are escapes for all three, but a manifest that needs none cannot be quoted wrongly by anybody.
"""

from __future__ import annotations

import posixpath
import re

from capsule_builder.manifest.problems import quoted
from capsule_builder.manifest.rule import Complaint, Rule

PATH_LENGTH = 4096

HTTP_PATH_PATTERN = r"/[A-Za-z0-9._~!$&'()*+,;=:@/?-]*"
HTTP_PATH_LENGTH = 1024

_LINE_BREAK = re.compile("[\n\r\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _unit_text_complaint(text: str) -> Complaint | None:
    if _LINE_BREAK.search(text):
        message = "holds a line break, which would end its line in the systemd unit"
        return Complaint("line-break", message, "write it on one line, or keep it in a file of the capsule")
    control = _CONTROL.search(text)
    if control:
        return Complaint("control-character", f"holds the control character U+{ord(control.group()):04X}", "remove it")
    if "%" in text:
        message = f'{quoted(text)} holds "%", which begins a specifier in a systemd unit'
        return Complaint("percent-sign", message, "keep the value in a file of the capsule")
    if text.endswith("\\"):
        message = f"{quoted(text)} ends in a backslash, which would join the next line of the systemd unit to it"
        return Complaint("trailing-backslash", message, "end it with another character")
    return None


def _path_complaint(text: str) -> Complaint | None:
    if not text:
        return _bad_path("is empty", "name a file of the capsule")
    if re.match(r"/|[A-Za-z]:[/\\]", text):
        return _bad_path(f"{quoted(text)} is absolute", "write the path from the capsule's root, with no leading slash")
    return _path_text_complaint(text) or _path_parts_complaint(text)


def _path_text_complaint(text: str) -> Complaint | None:
    control = _LINE_BREAK.search(text) or _CONTROL.search(text) or re.search("\t", text)
    if control:
        return _bad_path(f"holds the control character U+{ord(control.group()):04X}", "rename the file")
    if "\\" in text:
        likely = text.strip("\\").replace("\\", "/")
        return _bad_path(f"{quoted(text)} holds a backslash", f"write {quoted(likely)}")
    if "%" in text:
        return _bad_path(f'{quoted(text)} holds "%", which begins a specifier in a systemd unit', "rename the file")
    return None


def _path_parts_complaint(text: str) -> Complaint | None:
    parts = text.split("/")
    if ".." in parts:
        return _bad_path(f'{quoted(text)} holds ".."', _plain_path_remedy(text))
    if text.endswith("/"):
        return _bad_path(f"{quoted(text)} is a directory", "name a file in it")
    if "" in parts or "." in parts:
        return _bad_path(f'{quoted(text)} has an empty or "." part', _plain_path_remedy(text))
    if text.startswith(".capsule_"):
        message = f'{quoted(text)} is reserved: names in ".capsule_" are the builder\'s'
        return _bad_path(message, "name a file of yours")
    octets = [len(part.encode("utf-8", "surrogatepass")) for part in parts]
    if max(octets) > 255 or sum(octets) + len(parts) - 1 > PATH_LENGTH:
        message = f"{quoted(text)} is longer than {PATH_LENGTH:,} bytes, or a part of it than 255"
        return _bad_path(message, "shorten it")
    return None


def _plain_path_remedy(text: str) -> str:
    plain = posixpath.normpath(text)
    outside = plain.startswith("../") or plain in ("..", ".")
    return "name a file inside the capsule" if outside else f"write {quoted(plain)}"


def _bad_path(message: str, remedy: str) -> Complaint:
    return Complaint("bad-path", message, remedy)


def _http_path_complaint(text: str) -> Complaint | None:
    url = re.fullmatch(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::([0-9]{1,5}))?(/.*)?", text, re.IGNORECASE)
    if url:
        port = f" and port: {url.group(1)}" if url.group(1) else ""
        remedy = f"write http: {url.group(2) or '/'}{port}"
        return Complaint("bad-http-path", f"{quoted(text)} is a URL; the check never leaves the host", remedy)
    if len(text) > HTTP_PATH_LENGTH:
        message = f"the path has {len(text)} characters, and may have {HTTP_PATH_LENGTH} at most"
        return Complaint("bad-http-path", message, "shorten it")
    if re.fullmatch(HTTP_PATH_PATTERN, text):
        return None
    likely = f"/{text}"
    remedy = f"write {quoted(likely)}" if text and re.fullmatch(HTTP_PATH_PATTERN, likely) and "://" not in text else ""
    remedy = remedy or 'write a path on the service itself, such as "/healthz"'
    return Complaint("bad-http-path", f"{quoted(text)} is not the path of a URL", remedy)


UNIT_TEXT = Rule("text", _unit_text_complaint)
PATH = Rule("app/main.py", _path_complaint)
HTTP_PATH = Rule("/healthz", _http_path_complaint)
