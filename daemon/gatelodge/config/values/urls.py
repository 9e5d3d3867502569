"""
Decides what is the URL of a service, of a CA's directory, and of a place to which visitors are sent.

A URL is taken apart here by the grammar of RFC 3986 and not by `urllib`, which drops tabs and newlines without a word. One that
holds a password is never repeated in a mistake. URLs of upstreams are in `upstream_urls`.
"""

from __future__ import annotations

import re

from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.values import names, texts
from gatelodge.model import is_ip

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL | re.IGNORECASE
)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")

#: A name as Docker and hosts files have them: host names, and underscores besides.
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_SERVICE = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")

#: nginx reads `unix:` as the beginning of a path, also where an address is meant (ngx_parse_url).
SOCKET = "unix"

#: RFC 3986 §3.3: pchar and "/"; §3.4 and §3.5 for what follows.
PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?")
_REST = re.compile(r"(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?")

_LONGEST = 1000

_HTTP = ("http", "https")

_HOST_AND_PORT = 'write "HOST:PORT", such as "192.168.1.5:1883"'


def endpoint(text: str) -> str:
    """
    Read the URL of a service that is asked with a secret, or believed: https, or plain http on this machine.

    Raises:
        Unreadable: it is not one.
    """
    found = parts(text, '"https://api.example.com"', _HTTP)
    if "#" in found["rest"] or not re.fullmatch(r"[\x21-\x7e]*", text):
        raise Unreadable(f"{quoted(text)} is not the URL of a service", "write it without a fragment, in ASCII")
    host, _ = host_and_port(found["authority"], text)
    if found["scheme"].lower() == "http" and not names.is_loopback(host):
        raise Unreadable(f"{quoted(text)} is plain http, which anybody on the way can read and change", "write https")
    return text


def directory(text: str) -> str:
    """
    Read the URL of a CA's directory (RFC 8555 §6.1 wants https; plain http is for a test CA on this machine).

    Raises:
        Unreadable: it is not one.
    """
    found = parts(text, '"https://ca.example/acme/directory"', _HTTP)
    if "#" in found["rest"] or not re.fullmatch(r"[\x21-\x7e]*", text):
        raise Unreadable(
            f"{quoted(text)} is not the URL of a directory", "write it as the CA gives it, without a fragment"
        )
    host, _ = host_and_port(found["authority"], text)
    if found["scheme"].lower() == "http" and not names.is_loopback(host):
        raise Unreadable(
            f"{quoted(text)} is plain http, by which anybody on the way can act as this CA",
            "write https; give the CA's own root in `root` when it is a private one",
        )
    return text


def proxy(text: str) -> str:
    """
    Read the URL of an HTTP proxy: what goes through it is TLS from end to end, so that the way to it needs none.

    Raises:
        Unreadable: it is not one.
    """
    found = parts(text, '"http://127.0.0.1:3128"', _HTTP)
    host_and_port(found["authority"], text)
    if found["scheme"].lower() != "http" or found["path"] not in {"", "/"} or found["rest"]:
        raise Unreadable(f"{quoted(text)} is not the address of an HTTP proxy", 'write "http://HOST:PORT"')
    return text


def page(text: str) -> str:
    """
    Read the URL of a page that visitors are sent to, in the form in which they see it.

    Raises:
        Unreadable: it is not one.
    """
    scheme, host, port, rest = place(text)
    authority = f"[{host}]" if ":" in host else host
    return f"{scheme}://{authority}{f':{port}' if port else ''}{rest}"


def target(text: str) -> str:
    """
    Read where visitors are redirected to: the URL of a page, or a path of the same host.

    Raises:
        Unreadable: it is neither.
    """
    if not text.startswith("/"):
        return page(text)
    path, mark, query = text.partition("?")
    if text.startswith("//") or not PATH.fullmatch(path) or not _REST.fullmatch(mark + query):
        raise Unreadable(f"{quoted(text)} is no path of this host", 'write it as in a URL: "/path/", a space as "%20"')
    return texts.fitting(text, _LONGEST)


def place(text: str) -> tuple[str, str, int | None, str]:
    """
    Take the URL of a page apart: scheme, host, the port if it is written, and what follows.

    Raises:
        Unreadable: it is not one.
    """
    found = parts(text, '"https://www.example.com", or a path of this host: "/path/"', _HTTP)
    if not _REST.fullmatch(found["rest"]):
        raise Unreadable(f"{quoted(text)} holds what no URL may, or a fragment", 'write a space as "%20", and the like')
    host, port = host_and_port(found["authority"], text)
    return found["scheme"].lower(), host, port, texts.fitting(found["path"] + found["rest"], _LONGEST)


def parts(text: str, example: str, schemes: tuple[str, ...]) -> re.Match[str]:
    """
    Take a URL apart as far as all of ours are alike.

    Raises:
        Unreadable: it is none, or none of these schemes.
    """
    found = _URL.fullmatch(text)
    if found is None or found["scheme"].lower() not in schemes:
        *others, last = schemes
        raise Unreadable(f"{_blind(text)} is not an {', '.join(others)} or {last} URL", _remedy(text, example))
    if "@" in found["authority"]:
        raise Unreadable("it holds a user name or password, which would be readable by everybody", f"write {example}")
    if len(text) > _LONGEST:
        raise Unreadable(f"{quoted(text)} is longer than {_LONGEST} characters", "shorten it")
    if not PATH.fullmatch(found["path"]):
        raise Unreadable(f"{quoted(text)} holds what no URL may", 'write a space as "%20", and the like')
    return found


def host_and_port(authority: str, text: str) -> tuple[str, int | None]:
    """
    Read the host of a URL, and its port if it has one.

    Raises:
        Unreadable: it has none that can be reached.
    """
    found = _AUTHORITY.fullmatch(authority)
    if found is None or not found["host"]:
        raise Unreadable(
            f"{quoted(text)} has no host that can be reached", 'write one such as "http://wiki:3000", IPv6 in brackets'
        )
    port = names.port(int(found["port"])) if found["port"] else None
    return _service(found["host"], text), port


def authority(text: str) -> tuple[str, int]:
    """
    Read a host with its port, of a service that has no URL.

    Raises:
        Unreadable: it is not that.
    """
    if "://" in text:
        raise Unreadable(f"{_blind(text)} is a URL", f"{_HOST_AND_PORT}, without a scheme")
    try:
        host, port = host_and_port(text, text)
    except Unreadable as error:
        raise Unreadable(error.problem, f"{_HOST_AND_PORT}, IPv6 in brackets") from None
    if port is None:
        raise Unreadable(f"{quoted(text)} has no port", _HOST_AND_PORT)
    return host, port


def _service(host: str, text: str) -> str:
    """
    Read the host of a URL: an address, a name of the machine's network, or a host name.
    """
    if host.startswith("["):
        return names.address(host)
    name = host.lower().removesuffix(".")
    if is_ip(name):
        return names.address(name)
    if not name.isascii():
        return names.domain(name)
    if not _SERVICE.fullmatch(name) or re.fullmatch(r"[0-9]+", name.rpartition(".")[2]):
        raise Unreadable(
            f"the host of {quoted(text)} is neither a name nor an address", 'write one such as "http://wiki:3000"'
        )
    if name == SOCKET:
        raise Unreadable(f"nginx takes {quoted(text)} for the path of a socket", "name that host otherwise")
    return name


def _blind(text: str) -> str:
    """
    Write a URL that could not be taken apart, unless it may hold a password.
    """
    return "it" if "@" in text else quoted(text)


def _remedy(text: str, example: str) -> str:
    if "@" in text or not re.fullmatch(r"[A-Za-z0-9._:/\[\]-]{1,80}", text) or "://" in text:
        return f"write {example}"
    return f'write "http://{text.lstrip("/")}"'
