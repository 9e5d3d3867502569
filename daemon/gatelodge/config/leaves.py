"""
The kinds of value that a key can have: what TOML must hold there, how it is read, and what an editor is told about it.

Each is an annotation for the tables: `structure` reads by it, `schema` describes by it.
"""

import dataclasses
import datetime as dt
import enum
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias

from gatelodge.config import names, quantities, texts, urls
from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.shape import Tls
from gatelodge.config.suggest import choices, nearest
from gatelodge.model import (
    NO_SOURCE,
    AddressSource,
    ByCommands,
    ByHelper,
    ByMailbox,
    KeyKind,
    Listener,
    Name,
    Reload,
    Upstream,
    Websocket,
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Leaf:
    """
    A kind of value, equal to itself only. `takes` are the exact Python types that TOML must have given, `wanted` what to call such a value.

    `read` raises `Unreadable` for what is not one. `schema` is its JSON Schema.
    """

    takes: tuple[type, ...]
    read: Callable[[Any], Any]
    wanted: str
    schema: Mapping[str, object]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OneOrMore:
    """
    Marks a list that may be written as its only element.
    """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shorthand:
    """
    Marks a table that may be written as the value of one of its keys.
    """

    key: str


def _text(read: Callable[[str], Any], wanted: str, **schema: object) -> Leaf:
    return Leaf(takes=(str,), read=read, wanted=wanted, schema={"type": "string", **schema})


def _choice(kind: type[enum.StrEnum], **later: str) -> Leaf:
    """
    Make the leaf of a closed set of words; `later` holds what words of the future mean.
    """
    known = [member.value for member in kind if member is not Tls.FILES]

    def read(text: str) -> enum.StrEnum:
        if text in known:
            return kind(text)
        if text.partition(":")[0] in later:
            raise Unreadable(
                f"{quoted(text)}, {later[text.partition(':')[0]]}, is not in this release yet",
                f"write {choices(known)}",
            )
        meant = nearest(text, known)
        raise Unreadable(
            f"{quoted(text)} is not one of {choices(known)}"
            if known[1:]
            else f"{quoted(text)} is not {choices(known)}",
            f"write {quoted(meant or known[0])}",
        )

    return Leaf(takes=(str,), read=read, wanted=choices(known), schema={"enum": known})


def _port(*, least: int) -> Leaf:
    return Leaf(
        takes=(int,),
        read=lambda number: number if least == number else names.port(number),
        wanted="a port number",
        schema={"type": "integer", "minimum": least, "maximum": 65535},
    )


def _duration(**bounds: dt.timedelta) -> Leaf:
    return _text(
        lambda text: quantities.duration(text, **bounds),
        'a duration such as "90s", "12h" or "1d"',
        pattern=f"^(?=.){quantities.DURATION}$",
    )


_EVERYWHERE = re.compile(r"(?:\*|0\.0\.0\.0|\[::\])?:[0-9]+")


def _listener(value: int | str) -> Listener:
    """
    Read what a site listens on: a port of all addresses, or one address with a port.
    """
    if isinstance(value, int):
        return Listener(port=names.port(value))
    if value.isascii() and value.isdecimal():
        raise Unreadable(f"{quoted(value)} is a port in quotes", "write it without them")
    if _EVERYWHERE.fullmatch(value):
        raise Unreadable(f"{quoted(value)} means all addresses", "write the port alone, as a number")
    address, port = names.address_and_port(value)
    return Listener(port=port, address=address)


def _server(text: str) -> str:
    """
    Read a DNS server's address; without a port it is 53.
    """
    if ":" not in text or text.endswith("]"):
        text = f"{text}:53"
    elif text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]:53"
    address, port = names.address_and_port(text)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


_LIST_OF_TEXT = {"type": "array", "items": {"type": "string"}, "minItems": 1}

_SOURCES: Mapping[str, Mapping[str, object]] = {
    "interface": {"type": "string", "description": "A network interface of this machine that has the address."},
    "url": {
        "anyOf": [{"type": "string"}, _LIST_OF_TEXT],
        "description": "Services that answer with the address they see; of several, two must agree.",
    },
    "command": {**_LIST_OF_TEXT, "description": "A program that prints the address."},
}

_INTERFACE = re.compile(r"[A-Za-z0-9._-]{1,15}")


def _source(value: bool | dict[str, object]) -> AddressSource | None:  # noqa: FBT001 - as TOML gave it
    """
    Read where the public address is learned: `true` asks the built-in services, `false` does not look.
    """
    if isinstance(value, bool):
        return AddressSource() if value else NO_SOURCE
    match value:
        case {"interface": str(name), **rest} if not rest and _INTERFACE.fullmatch(name):
            return AddressSource(interface=name)
        case {"url": str(url), **rest} if not rest:
            return AddressSource(urls=(urls.endpoint(url),))
        case {"url": [*listed], **rest} if not rest and listed and all(isinstance(url, str) for url in listed):
            return AddressSource(urls=tuple(urls.endpoint(str(url)) for url in listed))
        case {"command": list(words), **rest} if not rest:
            return AddressSource(command=texts.command(words))
    raise Unreadable(
        "it says not where the address is learned",
        'write { interface = "eth0" }, { url = "https://…" }, { command = ["/path/to/program"] }, true or false',
    )


class Mode(enum.StrEnum):
    """
    Whose nginx it is.
    """

    MANAGED = "managed"
    EXTERNAL = "external"


_RELOADS: Mapping[str, Reload] = {"mailbox": ByMailbox(), "helper": ByHelper()}


def _reload(value: str | list[object]) -> Reload:
    """
    Read how somebody else's nginx is told to reload: "mailbox", "helper", or commands.
    """
    if isinstance(value, str) and value in _RELOADS:
        return _RELOADS[value]
    if isinstance(value, list) and value and all(isinstance(words, list) for words in value):
        return ByCommands(commands=tuple(texts.command(words) for words in value if isinstance(words, list)))
    raise Unreadable(
        "it is no list of commands", 'write "mailbox", "helper", or [["nginx", "-t"], ["nginx", "-s", "reload"]]'
    )


def _default_server(value: str | bool) -> bool | None:  # noqa: FBT001 - a value of the TOML
    """
    Read whether strangers are answered by us; None for "auto".
    """
    if isinstance(value, str) and value != "auto":
        raise Unreadable(f"{quoted(value)} is not known here", 'write "auto", true or false')
    return None if value == "auto" else bool(value)


class Match(enum.StrEnum):
    """
    How a route's path is compared.
    """

    PREFIX = "prefix"


Flag: TypeAlias = Annotated[bool, Leaf(takes=(bool,), read=bool, wanted="true or false", schema={"type": "boolean"})]
HostName: TypeAlias = Annotated[Name, _text(names.host, "a host name", examples=["cloud.example.com"])]
Address: TypeAlias = Annotated[str, _text(names.address, "an IP address", examples=["127.0.0.1"])]
Port: TypeAlias = Annotated[int, _port(least=1)]
PortOrNone: TypeAlias = Annotated[int, _port(least=0)]
Listening: TypeAlias = Annotated[
    Listener,
    Leaf(
        takes=(int, str),
        read=_listener,
        wanted='a port number or "ADDRESS:PORT"',
        schema={
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string", "pattern": ":[0-9]+$"}]
        },
    ),
]
Server: TypeAlias = Annotated[str, _text(_server, "the address of a DNS server", examples=["192.168.1.1:53"])]
UpstreamUrl: TypeAlias = Annotated[
    Upstream,
    _text(
        urls.upstream,
        'a URL such as "http://wiki:3000"',
        pattern="^[Hh][Tt][Tt][Pp][Ss]?://",
        examples=["http://wiki:3000"],
    ),
]
DirectoryUrl: TypeAlias = Annotated[
    str, _text(urls.directory, "the URL of a directory", pattern="^[Hh][Tt][Tt][Pp][Ss]?://")
]
Timeout: TypeAlias = Annotated[dt.timedelta, _duration()]
Interval: TypeAlias = Annotated[dt.timedelta, _duration(least=dt.timedelta(seconds=10), most=dt.timedelta(days=7))]
Spacing: TypeAlias = Annotated[dt.timedelta, _duration(most=dt.timedelta(days=1))]
Size: TypeAlias = Annotated[
    int, _text(quantities.size, 'a size such as "10m", or "0" for no limit', pattern=f"^{quantities.SIZE}$")
]
Folder: TypeAlias = Annotated[str, _text(texts.nginx_path, "an absolute path", pattern="^/")]
File: TypeAlias = Annotated[str, _text(texts.path, "an absolute path", pattern="^/")]
Socket: TypeAlias = Annotated[str, _text(texts.socket, "an absolute path", pattern="^/")]
Program: TypeAlias = Annotated[str, _text(texts.program, "a program", examples=["nginx", "/usr/sbin/nginx"])]
AccessLog: TypeAlias = Annotated[
    str, _text(texts.access_log, '"off", "stdout" or an absolute path', pattern="^(off$|stdout$|/)")
]
User: TypeAlias = Annotated[str, _text(texts.user, "a user name", examples=["www-data"])]
Email: TypeAlias = Annotated[str, _text(texts.email, "an e-mail address", format="email")]
Profile: TypeAlias = Annotated[str, _text(texts.profile, "a profile's name", examples=["shortlived"])]
Text: TypeAlias = Annotated[str, _text(str, "a name in quotes")]
RoutePath: TypeAlias = Annotated[str, _text(texts.route, "a path", pattern="^/")]
Key: TypeAlias = Annotated[KeyKind, _choice(KeyKind)]
TlsKind: TypeAlias = Annotated[Tls, _choice(Tls)]
WebsocketKind: TypeAlias = Annotated[Websocket, _choice(Websocket)]
ChallengeKind: TypeAlias = Annotated[
    str,
    _text(texts.challenge, '"http-01" or "dns:NAME"', pattern="^(http-01|dns:.+)$", examples=["http-01", "dns:home"]),
]
DnsName: TypeAlias = Annotated[
    Name, _text(lambda text: Name(names.dns_name(text)), "a name of the DNS", examples=["_acme-challenge.example.net"])
]
DohUrl: TypeAlias = Annotated[
    str, _text(urls.endpoint, "a URL", pattern="^[Hh][Tt][Tt][Pp][Ss]?://", examples=["https://dns.google/dns-query"])
]
Often: TypeAlias = Annotated[dt.timedelta, _duration(least=dt.timedelta(minutes=1), most=dt.timedelta(days=1))]
Source: TypeAlias = Annotated[
    AddressSource,
    Leaf(
        takes=(dict, bool),
        read=_source,
        wanted='true, false, { interface = "…" }, { url = "…" } or { command = [ … ] }',
        schema={
            "anyOf": [
                {"type": "boolean"},
                *(
                    {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}
                    for key, value in _SOURCES.items()
                ),
            ]
        },
    ),
]
#: A table whose keys depend on what one of them says; read by whoever knows them.
Raw: TypeAlias = Annotated[
    Mapping[str, object], Leaf(takes=(dict,), read=dict, wanted="a table", schema={"type": "object"})
]
NginxMode: TypeAlias = Annotated[Mode, _choice(Mode)]
ReloadKind: TypeAlias = Annotated[
    Reload,
    Leaf(
        takes=(str, list),
        read=_reload,
        wanted='"mailbox", "helper" or a list of commands',
        schema={
            "anyOf": [
                {"enum": list(_RELOADS)},
                {
                    "type": "array",
                    "items": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                    "minItems": 1,
                },
            ]
        },
    ),
]
DefaultServer: TypeAlias = Annotated[
    bool | None,
    Leaf(
        takes=(str, bool),
        read=_default_server,
        wanted='"auto", true or false',
        schema={"anyOf": [{"const": "auto"}, {"type": "boolean"}]},
    ),
]
MatchKind: TypeAlias = Annotated[Match, _choice(Match, exact="comparing the whole path", regex="a regular expression")]
