"""
The kinds of value that sites and their routes have, beside those of `leaves`.
"""

import datetime as dt
import enum
import re
from typing import Annotated, TypeAlias

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.shape import Tls
from gatelodge.config.values import networks, patterns, quantities, texts, upstream_urls, urls
from gatelodge.config.values.leaf import Leaf, choice, duration, text, whole
from gatelodge.model import Balance, Hsts, Match, Name, Spread, Upstream, Websocket

_MOST = 65535  # for what nginx counts in a few bytes, or nobody has more of

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,100}")

_BY = {
    "uri": re.compile(r"uri"),
    "address": re.compile(r"address"),
    "cookie": re.compile(r"cookie:[A-Za-z0-9_]{1,100}"),
    "header": re.compile(r"header:[A-Za-z0-9-]{1,100}"),
}
_BALANCES = (
    'write "round_robin", "least_conn", "ip_hash", "hash:uri", "hash:address", "hash:cookie:NAME" or "hash:header:NAME"'
)


def _balance(given: str) -> Balance:
    """
    Read how requests are spread.
    """
    if given in {each.value for each in Spread if each is not Spread.HASH}:
        return Balance(spread=Spread(given))
    spread, _, by = given.partition(":")
    if spread != Spread.HASH.value:
        raise Unreadable(f"{quoted(given)} is no way to choose a server", _BALANCES)
    if not any(pattern.fullmatch(by) for pattern in _BY.values()):
        raise Unreadable(
            f"{quoted(given)} says not by what servers are chosen, in letters that nginx has for it", _BALANCES
        )
    return Balance(spread=Spread.HASH, by=by)


def _auth(given: str | bool) -> str:  # noqa: FBT001 - a value of the TOML
    """
    Read who asks visitors who they are: a NAME, or nobody, which is the empty text.
    """
    if given is True:
        raise Unreadable("it says not who asks", 'write auth = "NAME", where [auth.NAME] is there')
    return "" if given in {False, "off"} else str(given)


_RATE = re.compile(r"(?P<requests>[0-9]{1,7})/(?P<unit>[a-z]+)")
_UNITS = {"s": 1, "m": 60}


def _rate(given: str) -> tuple[int, int]:
    """
    Read how many requests may be made in how many seconds.
    """
    found = _RATE.fullmatch(given)
    if found is None or not int(found["requests"]):
        raise Unreadable(f"{quoted(given)} is no rate", 'write requests a second or a minute: "10/s", "300/m"')
    if found["unit"] not in _UNITS:
        raise Unreadable(f"{quoted(given)}: nginx counts by the second or the minute", 'write "10/s" or "300/m"')
    return int(found["requests"]), _UNITS[found["unit"]]


def _status(given: int) -> int:
    """
    Read the status of an answer of nginx's own.
    """
    if 300 <= given <= 399:  # noqa: PLR2004 - the class of redirections (RFC 9110 §15.4)
        raise Unreadable("it sends visitors elsewhere", 'write redirect_to = "https://…"')
    if not 200 <= given <= 599 or given == 499:  # noqa: PLR2004 - what nginx itself says in its log of who has gone away
        raise Unreadable("it is no status that can be answered", "write one from 200 to 299 or 400 to 599")
    return given


def _error_status(given: str) -> int:
    if not re.fullmatch(r"[45][0-9][0-9]", given) or given == "499":
        raise Unreadable(f"{quoted(given)} is not the status of an error", 'write one from "400" to "599"')
    return int(given)


def _redirect_code(given: int) -> int:
    known = (301, 302, 303, 307, 308)
    if given not in known:
        raise Unreadable("no browser is led elsewhere by it", f"write {', '.join(map(str, known[:-1]))} or {known[-1]}")
    return given


def _page_path(given: str) -> str:
    """
    Read a path of the site that is looked up within it.
    """
    if "$" in texts.route(given):
        raise Unreadable(f"{quoted(given)} holds a $, which nginx takes for a variable", "choose a path without it")
    return given


def _maintenance(given: str | bool) -> str | bool:  # noqa: FBT001 - a value of the TOML
    return given if isinstance(given, bool) else texts.nginx_path(given)


#: nginx wants room for one of its buffers, if there is to be a file at all.
_LEAST_FILE = 64 << 10


def _temp_file_limit(given: str) -> int:
    size = quantities.size(given)
    if 0 < size < _LEAST_FILE:
        raise Unreadable(
            f"{quoted(given)} is less than one of nginx's buffers", 'write "0" for no file, or at least "64k"'
        )
    return size


def _snippet(given: str) -> str:
    if not given.strip():
        raise Unreadable("it is empty", "write nginx directives, or leave the key out")
    return given


class Satisfy(enum.StrEnum):
    """
    Whether a visitor must pass all that guards a route, or one is enough.
    """

    ALL = "all"
    ANY = "any"


_OFF_OR_ON = ("is no word of it", 'write "off", "on" or "preload"')

SiteHost: TypeAlias = Annotated[
    Name, text(patterns.host, "a host name", examples=["cloud.example.com", r"~^app-[0-9]+\.example\.com$"])
]
UpstreamUrl: TypeAlias = Annotated[
    Upstream,
    text(
        upstream_urls.upstream,
        'a URL such as "http://wiki:3000"',
        pattern="^([Hh][Tt][Tt][Pp][Ss]?|[Gg][Rr][Pp][Cc][Ss]?|[Ff][Aa][Ss][Tt][Cc][Gg][Ii])://",
        examples=["http://wiki:3000", "http://unix:/run/app.sock"],
    ),
]
BalanceKind: TypeAlias = Annotated[
    Balance,
    text(
        _balance,
        "how a server is chosen",
        pattern="^(round_robin|least_conn|ip_hash|hash:(uri|address|cookie:.+|header:.+))$",
        examples=["least_conn", "hash:address"],
    ),
]
Weight: TypeAlias = Annotated[int, whole(least=1, most=_MOST)]
Count: TypeAlias = Annotated[int, whole(least=0, most=_MOST)]
Connections: TypeAlias = Annotated[int, whole(least=1, most=_MOST)]
Burst: TypeAlias = Annotated[int, whole(least=0, most=1_000_000)]
Depth: TypeAlias = Annotated[int, whole(least=1, most=10)]
TlsWord: TypeAlias = Annotated[
    Tls,
    choice(
        Tls,
        without=Tls.FILES,
        files=("is no word", 'write tls = { certificate = "/path", key = "/path" }'),
        manual=("is no word", 'write tls = { certificate = "/path", key = "/path" }'),
        on=("says not whose certificate", 'write "acme", "local" or { certificate = "/path", key = "/path" }'),
        self_signed=("is no word", 'write "local": a CA of this machine, whose root devices can import'),
        selfsigned=("is no word", 'write "local": a CA of this machine, whose root devices can import'),
        internal=("is no word", 'write "local": a CA of this machine, whose root devices can import'),
        letsencrypt=("is no word", 'write "acme", and ca = "letsencrypt" under [acme]'),
    ),
]
WebsocketKind: TypeAlias = Annotated[Websocket, choice(Websocket)]
MatchKind: TypeAlias = Annotated[Match, choice(Match)]
HstsKind: TypeAlias = Annotated[Hsts, choice(Hsts, true=_OFF_OR_ON, yes=_OFF_OR_ON)]
SatisfyKind: TypeAlias = Annotated[Satisfy, choice(Satisfy)]
AuthName: TypeAlias = Annotated[
    str,
    Leaf(
        takes=(str, bool),
        read=_auth,
        wanted='the NAME of an [auth.NAME], or "off"',
        schema={"anyOf": [{"type": "string"}, {"const": False}], "examples": ["off"]},
    ),
]
Network: TypeAlias = Annotated[
    str, text(networks.network, "a network, or the name of one", examples=["lan", "192.168.1.0/24"])
]
RateText: TypeAlias = Annotated[
    tuple[int, int], text(_rate, 'requests a second or a minute, such as "10/s"', pattern="^[0-9]+/[sm]$")
]
HeaderName: TypeAlias = Annotated[str, text(texts.header_name, "the name of a header")]
HeaderValue: TypeAlias = Annotated[str, text(texts.value, "text")]
Status: TypeAlias = Annotated[
    int,
    Leaf(
        takes=(int,),
        read=_status,
        wanted="a status such as 200 or 404",
        schema={"type": "integer", "minimum": 200, "maximum": 599},
    ),
]
ErrorStatus: TypeAlias = Annotated[int, text(_error_status, 'a status such as "404"', pattern="^[45][0-9][0-9]$")]
RedirectCode: TypeAlias = Annotated[
    int,
    Leaf(
        takes=(int,),
        read=_redirect_code,
        wanted="301, 302, 303, 307 or 308",
        schema={"enum": [301, 302, 303, 307, 308]},
    ),
]
RedirectTarget: TypeAlias = Annotated[
    str,
    text(
        urls.target, "a URL, or a path", pattern="^([Hh][Tt][Tt][Pp][Ss]?://|/)", examples=["https://www.example.com"]
    ),
]
Body: TypeAlias = Annotated[str, text(lambda given: texts.lines(given, longest=3000), "text")]
MediaType: TypeAlias = Annotated[
    str, text(texts.media_type, "a media type", examples=["text/plain", "application/json"])
]
Folder: TypeAlias = Annotated[str, text(texts.nginx_path, "an absolute path", pattern="^/")]
File: TypeAlias = Annotated[str, text(texts.nginx_path, "an absolute path", pattern="^/")]
FileName: TypeAlias = Annotated[str, text(texts.file_name, "the name of a file", examples=["index.html"])]
PagePath: TypeAlias = Annotated[str, text(_page_path, "a path of the site", pattern="^/", examples=["/index.html"])]
Closed: TypeAlias = Annotated[
    str | bool,
    Leaf(
        takes=(str, bool),
        read=_maintenance,
        wanted='true, false, the path of a page, or { page = "/path", allow = ["lan"] }',
        schema={"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": "^/"}]},
    ),
]
SnippetText: TypeAlias = Annotated[str, text(_snippet, 'nginx directives, or { file = "/path" }')]
RetryAfter: TypeAlias = Annotated[dt.timedelta, duration(most=dt.timedelta(days=7))]
FailTimeout: TypeAlias = Annotated[dt.timedelta, duration(most=dt.timedelta(days=1))]
TempFileLimit: TypeAlias = Annotated[
    int, text(_temp_file_limit, 'a size such as "2g", or "0" for no file', pattern=f"^{quantities.SIZE}$")
]
