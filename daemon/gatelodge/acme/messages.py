"""
What an ACME server says, as values (RFC 8555 §7.1). Pure.

Tolerant of what may grow: statuses, challenge types and identifier types stay text, unknown fields are passed over, and a
missing optional one is None. What cannot be done without, or would lead astray, is a problem of type `badAnswer`. Whatever text
is kept can be shown on a terminal, and no answer makes us ask for more than an order of that many names may need.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from gatelodge.acme import problems, retry_after
from gatelodge.model import Name, is_ip, is_wildcard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatelodge.errors import Problem
    from gatelodge.ports import HttpResponse

#: Tokens are base64url without padding (RFC 8555 §8.1). They become part of paths and file names.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)

#: Printable, without spaces, and not longer than anybody's URL.
_URL = re.compile(r"https?://[!-~]{1,2000}", re.ASCII)

#: A DNS name has 253 characters at most, an address fewer.
_NAME = re.compile(r"[!-~]{1,253}", re.ASCII)

#: Bounds that no CA comes near: Let's Encrypt takes 100 names (https://letsencrypt.org/docs/rate-limits/), and there are four
#: types of challenges.
_MOST_NAMES = 1000
_MOST_CHALLENGES = 100
_MOST_LISTED = 10_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """
    Where a server's services are (§7.1.1).
    """

    new_nonce: str
    new_account: str
    new_order: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    An account (§7.1.2): its URL, which is also the `kid` of its requests, and where its orders are listed.
    """

    url: str
    orders: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    An order (§7.1.3). `retry_after` is what the answer that brought it asked for.
    """

    url: str
    status: str
    names: frozenset[Name]
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str | None = None
    expires: dt.datetime | None = None
    profile: str | None = None
    error: Problem | None = None
    retry_after: dt.timedelta | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """
    One way to prove a name (§8). Types of the future may have no token; they are kept, for error messages.
    """

    type: str
    url: str
    status: str
    token: str | None = None
    error: Problem | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """
    A name and the ways to prove it (§7.1.4). A wildcard's name has its `*.` here.
    """

    url: str
    status: str
    name: Name
    challenges: tuple[Challenge, ...]
    retry_after: dt.timedelta | None = None


def directory(response: HttpResponse, *, url: str) -> Directory:
    """
    Read a directory.

    Raises:
        IssuanceError: `badAnswer`, as everywhere in this file.
    """
    fields = _object(response, url)
    return Directory(
        new_nonce=_url(fields, "newNonce", url),
        new_account=_url(fields, "newAccount", url),
        new_order=_url(fields, "newOrder", url),
    )


def account(response: HttpResponse, *, url: str) -> Account:
    """
    Read an account.
    """
    fields = _object(response, url)
    return Account(url=url, orders=_url(fields, "orders", url) if fields.get("orders") else None)


def order(response: HttpResponse, *, url: str, now: dt.datetime) -> Order:
    """
    Read an order.
    """
    fields = _object(response, url)
    named = _list(fields, "identifiers", url, most=_MOST_NAMES)
    # Each proves one of the names; more would be work without end.
    proofs = _list(fields, "authorizations", url, most=len(named))
    return Order(
        url=url,
        status=_text(fields, "status", url),
        names=frozenset(_name(identifier, url) for identifier in named),
        authorizations=tuple(_as_url(each, "authorizations", url) for each in proofs),
        finalize=_url(fields, "finalize", url),
        certificate=_url(fields, "certificate", url) if fields.get("certificate") else None,
        expires=_time(fields.get("expires")),
        profile=problems.shown(fields["profile"]) if isinstance(fields.get("profile"), str) else None,
        error=problems.from_document(fields["error"]) if fields.get("error") else None,
        retry_after=retry_after.of_answer(response, now=now),
    )


def authorization(response: HttpResponse, *, url: str, now: dt.datetime) -> Authorization:
    """
    Read an authorization.
    """
    fields = _object(response, url)
    name = _name(fields.get("identifier"), url)
    wildcard = fields.get("wildcard") is True and not is_wildcard(name)
    return Authorization(
        url=url,
        status=_text(fields, "status", url),
        name=Name(f"*.{name}") if wildcard else name,
        challenges=tuple(_challenge(each, url) for each in _list(fields, "challenges", url, most=_MOST_CHALLENGES)),
        retry_after=retry_after.of_answer(response, now=now),
    )


def order_list(response: HttpResponse, *, url: str) -> tuple[str, ...]:
    """
    Read a page of an account's orders (§7.1.2.1).
    """
    listed = _list(_object(response, url), "orders", url, most=_MOST_LISTED)
    return tuple(_as_url(each, "orders", url) for each in listed)


def link(url: str, target: str) -> str:
    """
    Return where a header of the answer to `url` points.
    """
    try:
        return _as_url(urljoin(url, target), "Location", url)
    except ValueError:
        raise problems.bad_answer(f"{url} answered with a 'Location' that is no URL") from None


def identifiers(names: Sequence[Name]) -> list[dict[str, str]]:
    """
    Write names as identifiers (§7.1.3; RFC 8738 §3 for addresses).
    """
    return [{"type": "ip" if is_ip(name) else "dns", "value": name} for name in names]


def _challenge(value: object, url: str) -> Challenge:
    fields: dict[str, Any] = value if isinstance(value, dict) else {}
    token = fields.get("token")
    if token is not None and not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        raise problems.bad_answer(f"{url} offers a challenge whose token is not base64url")
    return Challenge(
        type=_text(fields, "type", url),
        url=_url(fields, "url", url),
        status=problems.shown(fields["status"]) if isinstance(fields.get("status"), str) else "pending",
        token=token,
        error=problems.from_document(fields["error"]) if fields.get("error") else None,
    )


def _name(identifier: object, url: str) -> Name:
    fields: dict[str, Any] = identifier if isinstance(identifier, dict) else {}
    value = fields.get("value")
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise problems.bad_answer(f"{url} answered with an identifier that is no name")
    text = value.lower()
    return Name(str(ipaddress.ip_address(text)) if is_ip(text) else text)


def _time(value: object) -> dt.datetime | None:
    try:
        parsed = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return parsed if parsed is None or parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)


def _object(response: HttpResponse, url: str) -> dict[str, Any]:
    try:
        value = json.loads(response.body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise problems.bad_answer(f"{url} answered {response.status} with something that is no JSON object")
    return value


def _text(fields: dict[str, Any], name: str, url: str) -> str:
    value = fields.get(name)
    text = problems.shown(value) if isinstance(value, str) else ""
    if not text:
        raise problems.bad_answer(f"{url} answered without {name!r}")
    return text


def _list(fields: dict[str, Any], name: str, url: str, *, most: int) -> list[object]:
    value = fields.get(name)
    if not isinstance(value, list):
        raise problems.bad_answer(f"{url} answered without a list of {name!r}")
    if len(value) > most:
        raise problems.bad_answer(f"{url} answered with {len(value)} {name}, which is more than {most}")
    return value


def _url(fields: dict[str, Any], name: str, url: str) -> str:
    return _as_url(fields.get(name), name, url)


def _as_url(value: object, name: str, url: str) -> str:
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


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (is_ip(host) and ipaddress.ip_address(host).is_loopback)
