"""
The kinds of value that a key can have: what TOML must hold there, how it is read, and what an editor is told about it.

Each is an annotation for the tables: `structure` reads by it, `schema` describes by it.
"""

import datetime as dt
import enum
import re
from collections.abc import Mapping
from typing import Annotated, TypeAlias

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import names, networks, options, ownership, quantities, texts, urls
from gatelodge.config.values.leaf import Leaf, choice, duration, text
from gatelodge.model import (
    NO_SOURCE,
    AddressSource,
    ByCommands,
    ByHelper,
    ByMailbox,
    Encryption,
    ExportFormat,
    KeyKind,
    Listener,
    Name,
    OnBadName,
    Reload,
    SecretRef,
    TlsProfile,
)
from gatelodge.model.log import Level, LogFormat


def _port(*, least: int) -> Leaf:
    return Leaf(
        takes=(int,),
        read=lambda number: number if least == number else names.port(number),
        wanted="a port number",
        schema={"type": "integer", "minimum": least, "maximum": 65535},
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


def _tcp_address(given: str) -> Listener:
    """
    Read an address with a port, where another machine may be meant only on purpose: every address is written out too.
    """
    if given.startswith("localhost:"):
        raise Unreadable(
            f"{quoted(given)} is a name", f"write an address: {quoted(given.replace('localhost', '127.0.0.1', 1))}"
        )
    address, port = names.address_and_port(given)
    return Listener(port=port, address=address)


def _listen_key(given: str) -> Listener:
    """
    Read a listener as it stands in a key, where a port is text.
    """
    return _listener(int(given) if re.fullmatch("[0-9]{1,5}", given) else given)


def _server(given: str) -> str:
    """
    Read a DNS server's address; without a port it is 53.
    """
    if ":" not in given or given.endswith("]"):
        given = f"{given}:53"
    elif given.count(":") > 1 and not given.startswith("["):
        given = f"[{given}]:53"
    address, port = names.address_and_port(given)
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

#: A hundred events or so.
_LEAST_LOG = 64 << 10

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


def _log_size(given: str) -> int:
    """
    Read how large the event log may be; it is never without a limit.
    """
    number = quantities.size(given)
    if number < _LEAST_LOG:
        raise Unreadable(f"{quoted(given)} is too small for a log", 'write "64k" or more')
    return number


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


_NO_OLD = "is not spoken: RFC 8996 forbids TLS before 1.2, which attackers can read"
_MODERN = 'write "intermediate" (TLS 1.2 and 1.3) or "modern" (1.3 alone)'
_TOO_OLD = {
    **dict.fromkeys(
        ("old", "legacy", "tlsv1", "tlsv1_0", "tlsv1_1", "tls1_0", "tls1_1", "sslv2", "sslv3"), (_NO_OLD, _MODERN)
    ),
    **dict.fromkeys(("tlsv1_2", "tls1_2"), ("is no profile", 'write "intermediate": TLS 1.2 and 1.3')),
    **dict.fromkeys(("tlsv1_3", "tls1_3"), ("is no profile", 'write "modern": TLS 1.3 alone')),
}

Flag: TypeAlias = Annotated[bool, Leaf(takes=(bool,), read=bool, wanted="true or false", schema={"type": "boolean"})]
HostName: TypeAlias = Annotated[Name, text(names.host, "a host name", examples=["cloud.example.com"])]
Address: TypeAlias = Annotated[str, text(names.address, "an IP address", examples=["127.0.0.1"])]
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
TcpAddress: TypeAlias = Annotated[
    Listener, text(_tcp_address, "an address with a port", pattern=":[0-9]+$", examples=["127.0.0.1:9180"])
]
Server: TypeAlias = Annotated[str, text(_server, "the address of a DNS server", examples=["192.168.1.1:53"])]
DirectoryUrl: TypeAlias = Annotated[
    str, text(urls.directory, "the URL of a directory", pattern="^[Hh][Tt][Tt][Pp][Ss]?://")
]
Timeout: TypeAlias = Annotated[dt.timedelta, duration()]
Interval: TypeAlias = Annotated[dt.timedelta, duration(least=dt.timedelta(seconds=10), most=dt.timedelta(days=7))]
Spacing: TypeAlias = Annotated[dt.timedelta, duration(most=dt.timedelta(days=1))]
Size: TypeAlias = Annotated[
    int, text(quantities.size, 'a size such as "10m", or "0" for no limit', pattern=f"^{quantities.SIZE}$")
]
Folder: TypeAlias = Annotated[str, text(texts.nginx_path, "an absolute path", pattern="^/")]
File: TypeAlias = Annotated[str, text(texts.path, "an absolute path", pattern="^/")]
Socket: TypeAlias = Annotated[str, text(texts.socket, "an absolute path", pattern="^/")]
Program: TypeAlias = Annotated[str, text(texts.program, "a program", examples=["nginx", "/usr/sbin/nginx"])]
AccessLog: TypeAlias = Annotated[
    str, text(texts.access_log, '"off", "stdout" or an absolute path', pattern="^(off$|stdout$|/)")
]
Owner: TypeAlias = Annotated[str, text(ownership.owner, "a user or group", examples=["www-data", "1000"])]
User: TypeAlias = Annotated[str, text(texts.user, "a user name", examples=["www-data"])]
Email: TypeAlias = Annotated[str, text(texts.email, "an e-mail address", format="email")]
Profile: TypeAlias = Annotated[str, text(texts.profile, "a profile's name", examples=["shortlived"])]
Text: TypeAlias = Annotated[str, text(str, "a name in quotes")]
Word: TypeAlias = Annotated[str, options.TEXT]
Hidden: TypeAlias = Annotated[SecretRef, options.SECRET]
BadName: TypeAlias = Annotated[OnBadName, choice(OnBadName)]
ProxyUrl: TypeAlias = Annotated[
    str, text(urls.proxy, "the URL of a proxy", pattern="^[Hh][Tt][Tt][Pp]://", examples=["http://127.0.0.1:3128"])
]
Key: TypeAlias = Annotated[KeyKind, choice(KeyKind)]
HeaderName: TypeAlias = Annotated[
    str, text(texts.real_ip_header, "the name of a header", examples=["CF-Connecting-IP"])
]
NginxFile: TypeAlias = Annotated[str, text(texts.nginx_path, "an absolute path", pattern="^/")]
NetworkName: TypeAlias = Annotated[str, text(networks.name, "a name", pattern=f"^{networks.NAME.pattern}$")]
ListenKey: TypeAlias = Annotated[
    Listener, text(_listen_key, 'a port or "ADDRESS:PORT"', pattern="^(.+:)?[0-9]+$", examples=["443"])
]
Profiles: TypeAlias = Annotated[TlsProfile, choice(TlsProfile, **_TOO_OLD)]
Validity: TypeAlias = Annotated[dt.timedelta, duration(most=dt.timedelta(days=1))]
CommonName: TypeAlias = Annotated[str, text(texts.common_name, "text")]
Attribute: TypeAlias = Annotated[str, text(lambda given: texts.attribute(given, 64), "text")]
LongAttribute: TypeAlias = Annotated[str, text(lambda given: texts.attribute(given, 128), "text")]
Country: TypeAlias = Annotated[str, text(texts.country, "a country's two letters", pattern="^[A-Za-z]{2}$")]
ChallengeKind: TypeAlias = Annotated[
    str,
    text(texts.challenge, '"http-01" or "dns:NAME"', pattern="^(http-01|dns:.+)$", examples=["http-01", "dns:home"]),
]
DnsName: TypeAlias = Annotated[
    Name, text(lambda text: Name(names.dns_name(text)), "a name of the DNS", examples=["_acme-challenge.example.net"])
]
DohUrl: TypeAlias = Annotated[
    str, text(urls.endpoint, "a URL", pattern="^[Hh][Tt][Tt][Pp][Ss]?://", examples=["https://dns.google/dns-query"])
]
Often: TypeAlias = Annotated[dt.timedelta, duration(least=dt.timedelta(minutes=1), most=dt.timedelta(days=1))]
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
Command: TypeAlias = Annotated[tuple[str, ...], options.COMMAND]
ExportKind: TypeAlias = Annotated[
    ExportFormat, choice(ExportFormat, pem_bundle=("is written with a hyphen", 'write "pem-bundle"'))
]
EncryptionKind: TypeAlias = Annotated[Encryption, choice(Encryption)]
FileMode: TypeAlias = Annotated[int, text(ownership.mode, 'a mode such as "0640"', pattern="^0?[0-7]{3}$")]
FileName: TypeAlias = Annotated[str, text(ownership.written_file, "the name of a file", examples=["znc.pem"])]
Patience: TypeAlias = Annotated[dt.timedelta, duration(least=dt.timedelta(seconds=1), most=dt.timedelta(hours=1))]
LogForm: TypeAlias = Annotated[LogFormat, choice(LogFormat)]
LogLevel: TypeAlias = Annotated[
    Level,
    choice(
        Level,
        debug=("is no level here: info is all there is", 'write "info"'),
        warn=("is not a level", 'write "warning"'),
    ),
]
Kept: TypeAlias = Annotated[dt.timedelta, duration(least=dt.timedelta(days=1), most=dt.timedelta(days=3650))]
LogSize: TypeAlias = Annotated[int, text(_log_size, 'a size such as "24m"', pattern=f"^{quantities.SIZE}$")]
NginxMode: TypeAlias = Annotated[Mode, choice(Mode)]
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
