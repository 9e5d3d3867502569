"""
Finds secrets where they must never be: in what is printed, logged, emitted or raised. It knows every secret that a test uses, and never says one.

A private key is known by each of its lines, for as long as the tests run; any other secret for as long as the test does that uses
it: what is a password in one is a word in another.
"""

from __future__ import annotations

import json
import re
import tomllib
import urllib.parse
from typing import TYPE_CHECKING, Any

from gatelodge.config.schema import schema
from gatelodge.offers import CATALOG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Shorter ones stand in other words by chance.
_SHORTEST = 8

#: A line of a private key as PEM (RFC 7468 §2), but for its last: one that is as long is nothing else.
_LINE = re.compile(r"[A-Za-z0-9+/]{64}")

_HEADER = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")

#: A whole one, also in JSON: the first line is told from a text that only says how one begins.
_KEY = re.compile(_HEADER.pattern + r"(?:\s|\\r|\\n)*[A-Za-z0-9+/]{16}")

#: What may hold what a daemon or a verb said.
_LOGS = ("events*.jsonl", "*.log", "stderr*", "stdout*", "tail-*", "said*")

#: What others say. An nginx is told of no secret but by files that it reads; a CA says what it is sent, which is the CA's business.
_OTHERS = ("pebble", "access", "caddy")

#: What may hold secrets: configurations, credentials, keys.
_KEPT = ("*.toml", "*.ini", "*.pem", "accounts/*")

_LARGEST = 4 << 20

#: A line of a file of credentials.
_INI = re.compile(r"^\s*\w*(?:secret|password|token)\w*\s*[=:]\s*(\S+)\s*$", re.IGNORECASE | re.MULTILINE)


def _secret_keys(node: Any) -> Iterator[str]:
    """
    Yield the keys of a configuration that hold secrets: those that may be `{ file = … }` or `{ env = … }`.
    """
    if isinstance(node, dict):
        for key, inner in (node.get("properties") or {}).items():
            forms = inner.get("anyOf", ()) if isinstance(inner, dict) else ()
            if any({"file", "env"} == set(form.get("properties", ())) for form in forms):
                yield key
        for inner in node.values():
            yield from _secret_keys(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _secret_keys(inner)


#: In the configuration these hold secrets.
SECRET_KEYS = frozenset(_secret_keys(schema(CATALOG)))


class Watch:
    """
    The secrets that are in use, and where one was seen.
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._secrets: dict[str, str] = {}
        self._places: dict[str, None] = {}
        self.busy = False
        self.made_up_events = False

    def begin(self) -> None:
        """
        A test begins: other secrets are in use.
        """
        self._secrets.clear()
        self._places.clear()

    def learn(self, secret: str, what: str) -> None:
        """
        Remember a secret.
        """
        if _HEADER.search(secret):
            self._keys.update(_LINE.findall(secret.replace("\\n", "\n")))
        elif len(secret) >= _SHORTEST:
            for form in (secret, json.dumps(secret)[1:-1], urllib.parse.quote(secret, safe="")):
                self._secrets.setdefault(form, what)

    def look(self, text: str, where: str) -> bool:
        """
        Look for secrets in a text, and tell whether one is there.
        """
        found = next((what for secret, what in self._secrets.items() if secret in text), None)
        if found is None and _KEY.search(text):
            found = "a private key"
        if found is None and self._keys:
            lines = text.replace("\\n", "\n") if "\\n" in text else text
            if any(line in self._keys for line in _LINE.findall(lines)):
                found = "a line of a private key"
        if found is not None:
            self._places[f"{found} is in {where}"] = None
        return found is not None

    def note(self, trouble: str) -> None:
        """
        Remember something else that must never be.
        """
        self._places[trouble] = None

    def told(self) -> list[str]:
        """
        Return where secrets were seen, and forget it.
        """
        places = list(self._places)
        self._places.clear()
        return places

    def look_in(self, folder: Path) -> None:
        """
        Learn the secrets that lie in a folder, then look for them in all that was written down there.
        """
        for path in _files(folder, _KEPT):
            self._learn_from(path)
        for path in _files(folder, _LOGS):
            if not path.name.startswith(_OTHERS):
                self.look(path.read_text(errors="replace"), f"{path.name} in a folder of the test's")

    def _learn_from(self, path: Path) -> None:
        text = path.read_text(errors="replace")
        if _HEADER.search(text):
            self.learn(text, "a private key")
        if path.suffix == ".ini":
            for value in _INI.findall(text):
                self.learn(value, f"a secret of {path.name}")
        if path.suffix == ".toml":
            try:
                self._learn_keys(tomllib.loads(text))
            except (ValueError, RecursionError):
                return  # what is no TOML, or one that nobody can read, is some test's point

    def _learn_keys(self, node: Any) -> None:
        if isinstance(node, list):
            for each in node:
                self._learn_keys(each)
        if not isinstance(node, dict):
            return
        for key, value in node.items():
            if key not in SECRET_KEYS:
                self._learn_keys(value)
            elif isinstance(value, str):
                self.learn(value, f"the value of {key}")
            elif isinstance(value, dict) and isinstance(value.get("file"), str):
                self._learn_file(value["file"], key)

    def _learn_file(self, name: str, key: str) -> None:
        try:
            with open(name, encoding="utf-8") as file:  # noqa: PTH123 - a name as the configuration has it
                self.learn(file.read(_LARGEST).strip(), f"the value of {key}")
        except (OSError, ValueError):
            return  # a file that lacks is some test's point


def _files(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        for path in folder.rglob(pattern):
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST:
                yield path
