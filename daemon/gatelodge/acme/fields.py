"""
Takes a server's answers apart: fields of JSON objects, links of headers. Pure.

What a value must be to be believed is decided here; what can be done without it, by who asks. Whatever text comes out can be
shown on a terminal.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from gatelodge.acme import problems
from gatelodge.errors import IssuanceError
from gatelodge.model import is_ip

if TYPE_CHECKING:
    from gatelodge.ports import HttpResponse

#: Printable, without spaces, and not longer than anybody's URL.
_URL = re.compile(r"https?://[!-~]{1,2000}", re.ASCII)

#: A link-value of RFC 8288 §3: a target, and parameters whose quoted values may hold commas; then one such parameter.
_LINK = re.compile(r"<([^>]*)>((?:\s*;\s*[^\s;,=]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,\"]*))?)*)")
_PARAMETER = re.compile(r";\s*([^\s;,=]+)(?:\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]*)))?")


def whole(response: HttpResponse, url: str) -> dict[str, Any]:
    """
    Return an answer that is a JSON object.

    Raises:
        IssuanceError: `badAnswer`, as everywhere in this file.
    """
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise problems.bad_answer(f"{url} answered {response.status} with something that is no JSON object")
    return value


def part(value: object) -> dict[str, Any]:
    """
    Return a JSON object within an answer; an empty one where something else stands.
    """
    return value if isinstance(value, dict) else {}


def text(found: dict[str, Any], name: str, url: str) -> str:
    """
    Return a text that must be there.
    """
    value = text_or_none(found, name)
    if value is None:
        raise problems.bad_answer(f"{url} answered without {name!r}")
    return value


def text_or_none(found: dict[str, Any], name: str) -> str | None:
    """
    Return a text; None when it is missing or none.
    """
    value = found.get(name)
    return problems.shown(value) or None if isinstance(value, str) else None


def texts(found: dict[str, Any], name: str, *, most: int) -> tuple[str, ...]:
    """
    Return what is text in a list; nothing when there is no list.
    """
    value = found.get(name)
    shown = [problems.shown(each) for each in value[:most] if isinstance(each, str)] if isinstance(value, list) else []
    return tuple(each for each in shown if each)


def listed(found: dict[str, Any], name: str, url: str, *, most: int) -> list[object]:
    """
    Return a list that must be there, and no longer than `most`.
    """
    value = found.get(name)
    if not isinstance(value, list):
        raise problems.bad_answer(f"{url} answered without a list of {name!r}")
    if len(value) > most:
        raise problems.bad_answer(f"{url} answered with {len(value)} {name}, which is more than {most}")
    return value


def address(found: dict[str, Any], name: str, url: str) -> str:
    """
    Return a URL that must be there, and can be asked.
    """
    return as_address(found.get(name), name, url)


def address_or_none(found: dict[str, Any], name: str, url: str) -> str | None:
    """
    Return a URL that can be asked; None when it is missing or none.
    """
    try:
        return address(found, name, url)
    except IssuanceError:
        return None


def as_address(value: object, name: str, url: str) -> str:
    """
    Return a value as a URL that can be asked: https, or http to this machine.
    """
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise problems.bad_answer(f"{url} answered with a {name!r} that is no URL")
    try:
        parts = urlsplit(value)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if not host or not (parts.scheme == "https" or _is_loopback(host)):
        raise problems.bad_answer(f"{url} answered with a {name!r} that is no https URL")
    return value


def link(url: str, target: str) -> str:
    """
    Return where a header of the answer to `url` points.
    """
    try:
        return as_address(urljoin(url, target), "Location", url)
    except ValueError:
        raise problems.bad_answer(f"{url} answered with a 'Location' that is no URL") from None


def links(response: HttpResponse, url: str, *, relation: str) -> tuple[str, ...]:
    """
    Return where the `Link` headers of a relation point (RFC 8288), each once and in order. What is no URL is left out.
    """
    found: dict[str, None] = {}
    for header in response.headers.get("link", ()):
        for match in _LINK.finditer(header):
            if relation in _relations(match[2]):
                with contextlib.suppress(IssuanceError):
                    found[link(url, match[1])] = None
    return tuple(found)


def time(value: object) -> dt.datetime | None:
    """
    Return a time (RFC 3339) in UTC; None when it is none.
    """
    if not isinstance(value, str):
        return None
    try:
        parsed = dt.datetime.fromisoformat(value)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def _relations(parameters: str) -> list[str]:
    """
    Return a link's relations: of several `rel`, the first counts (RFC 8288 §3.3).
    """
    named = [each for each in _PARAMETER.finditer(parameters) if each[1].lower() == "rel"]
    return (named[0][2] or named[0][3] or "").lower().split() if named else []


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (is_ip(host) and ipaddress.ip_address(host).is_loopback)
