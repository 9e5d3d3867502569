"""
The kinds of value that the keys of a DNS provider can have, beside those of `leaves`.

Each provider's keys are data in the catalog, made of these; `sections` reads them.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import names, quantities, texts, urls
from gatelodge.config.values.leaf import Leaf
from gatelodge.model import Secret, SecretRef

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_WANTED = '{ file = "/…" }, { env = "NAME" }, or the secret in quotes'


def _secret(value: str | dict[str, object]) -> SecretRef:
    """
    Read where a secret is found. No text of it is ever repeated.
    """
    if isinstance(value, str):
        if not value.strip():
            raise Unreadable("it is empty", f"write {_WANTED}")
        return SecretRef(literal=Secret(value.strip()))
    match value:
        case {"file": str(file), **rest} if not rest:
            try:
                return SecretRef(file=texts.path(file))
            except Unreadable:
                raise Unreadable("it does not name a file", f"write an absolute path: {_WANTED}") from None
        case {"env": str(name), **rest} if not rest:
            # In capitals, as variables are: what is written here is shown when it is missing, and must not be the secret itself.
            if not _VARIABLE.fullmatch(name):
                raise Unreadable("it does not name a variable", 'write its name in capitals: { env = "NAME" }')
            return SecretRef(env=name)
        case _:
            raise Unreadable("it says not where the secret is", f"write {_WANTED}")


def _server(text: str) -> tuple[str, int]:
    """
    Read a DNS server: a host name or an address, with a port when it is not 53.
    """
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    host, _, port = text.rpartition(":") if re.search(r":[0-9]{1,5}\Z", text) else (text, "", "53")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    return str(names.host(bare)), names.port(int(port))


def _table(value: dict[str, object]) -> Mapping[str, object]:
    wrong = [key for key, inner in value.items() if not isinstance(inner, str | int | bool | dict)]
    if wrong:
        raise Unreadable(f"{quoted(wrong[0])} is neither text nor a number", "write text, a number, true or false")
    return {key: _secret(inner) if isinstance(inner, dict) else inner for key, inner in value.items()}


def _text(read: Any, wanted: str, **schema: object) -> Leaf:
    return Leaf(takes=(str,), read=read, wanted=wanted, schema={"type": "string", **schema})


def _word(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise Unreadable(f"{quoted(text)} is empty or cannot be printed", "write text in quotes")
    return text.strip()


def _base(text: str) -> str:
    """
    Read the URL under which a service is reached: what follows it is the service's.
    """
    if "?" in text or "#" in text:
        raise Unreadable("it has a query or a fragment", "write the URL up to the ? or #")
    return urls.endpoint(text)


def choice(*words: str) -> Leaf:
    """
    Make the leaf of a closed set of words.
    """

    def read(text: str) -> str:
        if text.lower() not in words:
            raise Unreadable(f"{quoted(text)} is not known here", f"write one of {', '.join(map(quoted, words))}")
        return text.lower()

    return Leaf(takes=(str,), read=read, wanted=" or ".join(map(quoted, words)), schema={"enum": list(words)})


TEXT = _text(_word, "text in quotes")
FILE = _text(texts.path, "an absolute path", pattern="^/")
URL = _text(_base, "a URL", pattern="^[Hh][Tt][Tt][Pp][Ss]?://")
DOMAIN = _text(names.dns_name, "a domain name", examples=["example.org"])
DURATION = _text(quantities.duration, 'a duration such as "90s"', pattern=f"^(?=.){quantities.DURATION}$")
TTL = _text(
    lambda text: quantities.duration(text, most=dt.timedelta(days=1)),
    'a duration such as "10m"',
    pattern=f"^(?=.){quantities.DURATION}$",
)
WAIT = _text(
    lambda text: quantities.duration(text, most=dt.timedelta(hours=1)),
    'a duration such as "2m"',
    pattern=f"^(?=.){quantities.DURATION}$",
)
SERVER = _text(_server, "a DNS server", examples=["192.0.2.53", "ns1.example.net:5353"])
SECRET = Leaf(
    takes=(str, dict),
    read=_secret,
    wanted=_WANTED,
    blind=True,
    schema={
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {
                    "file": {"type": "string", "description": "The file that holds it."},
                    "env": {"type": "string", "description": "The variable of the daemon's environment that holds it."},
                },
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
            },
        ]
    },
)
COMMAND = Leaf(
    takes=(list,),
    read=texts.command,
    wanted='["/path/to/program", "argument"]',
    schema={"type": "array", "items": {"type": "string"}, "minItems": 1},
)
TABLE = Leaf(takes=(dict,), read=_table, wanted="a table", schema={"type": "object"})
