"""
Decides what is the URL of an upstream, and of a CA's directory.

A URL is taken apart here by the grammar of RFC 3986 and not by `urllib`, which drops tabs and newlines without a word. One that
holds a password is never repeated in a mistake.
"""

from __future__ import annotations

import re

from gatelodge.config import names
from gatelodge.config.keys import quoted
from gatelodge.config.mistakes import Unreadable
from gatelodge.model import Upstream, is_ip

_DEFAULT_PORTS = {"http": 80, "https": 443}

_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL | re.IGNORECASE)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")

#: A name as Docker and hosts files have them: host names, and underscores besides.
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_SERVICE = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")

#: nginx reads `unix:` as the beginning of a path, also where an address is meant (ngx_parse_url).
_SOCKET = "unix"

#: RFC 3986 §3.3: pchar and "/".
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?")

_LONGEST = 1000

_UPSTREAM_EXAMPLE = '"http://wiki:3000"'


def upstream(text: str) -> Upstream:
    """
    Read an upstream's URL. A path in it, even a lone `/`, replaces the matched prefix, as in nginx.

    Raises:
        Unreadable: it is not one.
    """
    found = _parts(text, _UPSTREAM_EXAMPLE)
    if found["rest"]:
        raise Unreadable(
            f"{quoted(text)} holds a query or a fragment, which an upstream cannot have",
            'end it before the "?" or "#"; the visitor\'s own query is passed on by itself',
        )
    scheme = found["scheme"].lower()
    host, port = _host_and_port(found["authority"], text)
    return Upstream(scheme=scheme, host=host, port=port or _DEFAULT_PORTS[scheme], path=found["path"] or None)


def endpoint(text: str) -> str:
    """
    Read the URL of a service that is asked with a secret, or believed: https, or plain http on this machine.

    Raises:
        Unreadable: it is not one.
    """
    found = _parts(text, '"https://api.example.com"')
    if "#" in found["rest"] or not re.fullmatch(r"[\x21-\x7e]*", text):
        raise Unreadable(f"{quoted(text)} is not the URL of a service", "write it without a fragment, in ASCII")
    host, _ = _host_and_port(found["authority"], text)
    if found["scheme"].lower() == "http" and not names.is_loopback(host):
        raise Unreadable(f"{quoted(text)} is plain http, which anybody on the way can read and change", "write https")
    return text


def directory(text: str) -> str:
    """
    Read the URL of a CA's directory (RFC 8555 §6.1 wants https; plain http is for a test CA on this machine).

    Raises:
        Unreadable: it is not one.
    """
    found = _parts(text, '"https://ca.example/acme/directory"')
    if "#" in found["rest"] or not re.fullmatch(r"[\x21-\x7e]*", text):
        raise Unreadable(
            f"{quoted(text)} is not the URL of a directory", "write it as the CA gives it, without a fragment"
        )
    host, _ = _host_and_port(found["authority"], text)
    if found["scheme"].lower() == "http" and not names.is_loopback(host):
        raise Unreadable(
            f"{quoted(text)} is plain http, by which anybody on the way can act as this CA",
            "write https; give the CA's own root in `root` when it is a private one",
        )
    return text


def _parts(text: str, example: str) -> re.Match[str]:
    """
    Take a URL apart as far as all of ours are alike.
    """
    found = _URL.fullmatch(text)
    if found is None:
        raise Unreadable(f"{_blind(text)} is not an http or https URL", _remedy(text, example))
    if "@" in found["authority"]:
        raise Unreadable("it holds a user name or password, which would be readable by everybody", f"write {example}")
    if len(text) > _LONGEST:
        raise Unreadable(f"{quoted(text)} is longer than {_LONGEST} characters", "shorten it")
    if not _PATH.fullmatch(found["path"]):
        raise Unreadable(f"{quoted(text)} holds what no URL may", 'write a space as "%20", and the like')
    return found


def _host_and_port(authority: str, text: str) -> tuple[str, int | None]:
    found = _AUTHORITY.fullmatch(authority)
    if found is None or not found["host"]:
        raise Unreadable(
            f"{quoted(text)} has no host that can be reached", f"write {_UPSTREAM_EXAMPLE}, IPv6 in brackets"
        )
    port = names.port(int(found["port"])) if found["port"] else None
    return _service(found["host"], text), port


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
        raise Unreadable(f"the host of {quoted(text)} is neither a name nor an address", f"write {_UPSTREAM_EXAMPLE}")
    if name == _SOCKET:
        raise Unreadable(f"nginx takes {quoted(text)} for the path of a socket", "name that host otherwise")
    return name


def _blind(text: str) -> str:
    """
    Write a URL that could not be taken apart, unless it may hold a password.
    """
    return "it" if "@" in text else quoted(text)


def _remedy(text: str, example: str) -> str:
    scheme, slashes, rest = text.partition("://")
    if "@" in text or not re.fullmatch(r"[A-Za-z0-9._:/\[\]-]{1,80}", text):
        return f"write {example}"
    if slashes and scheme in {"ws", "wss"}:
        return f'write "{scheme.replace("ws", "http", 1)}://{rest}"; websockets are passed on by themselves'
    return f"write {example}" if slashes else f'write "http://{text.lstrip("/")}"'
