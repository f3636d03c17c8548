"""What looks like a secret: it goes neither into the manifest nor, with its value, into the report."""

from __future__ import annotations

import re

HIDDEN = "(hidden)"
"""What stands in the report in place of a secret."""

_WORDS = frozenset([
    "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "PASS", "PWD", "PW", "TOKEN", "APIKEY", "APITOKEN",
    "CREDENTIAL", "CREDENTIALS", "CREDS", "DSN", "SALT", "PRIVATE", "AUTH", "PEPPER", "BEARER", "COOKIE", "JWT",
    "WEBHOOK",
])  # fmt: skip
_BEFORE_KEY = frozenset([
    "API", "ACCESS", "SECRET", "PRIVATE", "SIGNING", "ENCRYPTION", "SESSION", "LICENSE", "MASTER", "AUTH", "HMAC",
    "SSH",
])  # fmt: skip
_LEAST, _LEAST_INSIDE = 6, 10
"""Characters of a secret that is looked for as a word, and inside of words."""

_MOST = 2000
"""Characters of the original that are looked at to be shown."""

_NOT_SECRET = frozenset({"PWD", "OLDPWD", "SSH_AUTH_SOCK"})

_VALUE = re.compile(
    r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@"  # a URL with a password
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\beyJ[A-Za-z0-9_-]{10,200}\.[A-Za-z0-9_-]{10}"  # a JSON web token
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\$(?:[15-7]|2[abxy]?|y|gy|argon2[id]{1,2}|scrypt)\$[^\s:]{8}"  # the hash of a password
    r"|\b(?:gh[pousr]_|glpat-|sk-|sk_live_|xox[abpr]-)[A-Za-z0-9_-]{16}"
)
_DENSE = re.compile(r"(?=[^\s]*[0-9])(?=[^\s]*[A-Za-z])[A-Za-z0-9+=_-]{32,}")
_PAIR = re.compile(r"""(?<![A-Za-z0-9_])["']?([A-Za-z_][A-Za-z0-9_-]*)["']?\s*[=:]\s*\S""")
_OPTION = re.compile(r"--?([a-z][a-z0-9_-]*)(?=[\s=])", re.IGNORECASE)
_NOT_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def is_secret_name(name: str) -> bool:
    """Whether a variable, an option or a key is called as secrets are.

    >>> [is_secret_name(name) for name in ("DB_PASSWORD", "apiKey", "MAX_TOKENS_PER_MIN", "CACHE_KEY_PREFIX")]
    [True, True, False, False]
    """
    if name.upper() in _NOT_SECRET:
        return False
    words = [word.upper() for word in _NOT_WORDS.findall(name)]
    if words[-1:] in (["FILE"], ["PATH"], ["DIR"], ["LENGTH"], ["SIZE"], ["TTL"], ["TIMEOUT"], ["URL"], ["EXPIRY"]):
        return False  # it says where the secret lies, or how long it is
    if "KEY" in words:
        at = words.index("KEY")
        return words[max(at - 1, 0)] in _BEFORE_KEY or (at == len(words) - 1 and at > 0 and words[0] != "PRIMARY")
    return not _WORDS.isdisjoint(words)


def is_secret_value(value: str) -> bool:
    """Whether a value is one whatever it is called: a URL with a password, a key, a token."""
    return bool(_VALUE.search(value) or _DENSE.fullmatch(value))


def is_secret(name: str, value: str) -> bool:
    """Whether a variable is to be kept out. An empty one, a number of up to four digits or a boolean is no secret."""
    if not value or re.fullmatch(r"[0-9]{1,4}|true|false|yes|no|on|off", value, re.IGNORECASE):
        return False
    return is_secret_name(name) or is_secret_value(value)


class Redactor:
    """Knows the secrets that were found, and takes them out of whatever is told."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._lines: dict[str, str] = {}

    def learn(self, value: str) -> None:
        """Never to tell ``value`` again, or a word of it; what is shorter stands in every text by chance."""
        self._lines.clear()
        self._values |= {part for part in (value.strip(), *value.split()) if len(part) >= _LEAST}

    def holds(self, text: str) -> bool:
        """Whether a secret stands in the text."""
        return any(value in text for value in self._values if len(value) >= _LEAST_INSIDE) or text in self._values

    def words(self, text: str) -> str:
        """Words of our own without secrets that they repeat."""
        for value in sorted(self._values, key=len, reverse=True):
            if value not in text:
                continue
            if len(value) >= _LEAST_INSIDE:
                text = text.replace(value, HIDDEN)
            else:
                text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", HIDDEN, text)
        return text

    def lines(self, text: str) -> str:
        """The first lines of the original without secrets: where one begins, the rest of its line is gone."""
        if text not in self._lines:
            self._lines[text] = "\n".join(map(_masked, self.words(text)[:_MOST].split("\n")))
        return self._lines[text]


def _masked(line: str) -> str:
    starts = [pair.end() - 1 for pair in _PAIR.finditer(line) if is_secret_name(pair[1])]
    starts += [option.end() + 1 for option in _OPTION.finditer(line) if is_secret_name(option[1])]
    starts = [start for start in starts if not line[start:].startswith(HIDDEN)]
    if found := _VALUE.search(line):
        line = line[: found.start()] + HIDDEN
        starts = [start for start in starts if start < found.start()]
    if starts and not re.fullmatch(r"""["']?(?:[0-9]{1,4}|true|false|yes|no|on|off)?["',;]*""", line[min(starts) :]):
        line = line[: min(starts)] + HIDDEN
    return line
