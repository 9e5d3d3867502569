"""
What an ACME server says, as values (RFC 8555 §7.1). Pure.

Tolerant of what may grow: statuses, challenge types and identifier types stay text, unknown fields are passed over, and a
missing optional one is None. What cannot be done without, or would lead astray, is a problem of type `badAnswer`. Whatever text
is kept can be shown on a terminal, and no answer makes us ask for more than an order of that many names may need.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from typing import TYPE_CHECKING

from gatelodge.acme import fields, problems, retry_after
from gatelodge.model import Name, is_ip, is_wildcard

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from gatelodge.errors import Problem
    from gatelodge.ports import HttpResponse

#: Tokens are base64url without padding (RFC 8555 §8.1). They become part of paths and file names.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)

#: A DNS name has 253 characters at most, an address fewer.
_NAME = re.compile(r"[!-~]{1,253}", re.ASCII)

#: Bounds that no CA comes near: Let's Encrypt takes 100 names (https://letsencrypt.org/docs/rate-limits/), and there are four
#: types of challenges.
_MOST_NAMES = 1000
_MOST_CHALLENGES = 100
_MOST_LISTED = 10_000
_MOST_PROFILES = 100
_MOST_IDENTITIES = 100
_MOST_CONTACTS = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """
    What a server says of itself (§7.1.1). `caa_identities` are the names by which CAA records allow it (RFC 8659 §4.2); `profiles`
    are the kinds of certificates that it offers, each with a description (draft-ietf-acme-profiles §3).
    """

    terms_of_service: str | None = None
    website: str | None = None
    caa_identities: tuple[str, ...] = ()
    external_account_required: bool = False
    profiles: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """
    Where a server's services are (§7.1.1; RFC 9773 §3). Those that certificates can do without are None when it names none, or
    none that can be asked.
    """

    new_nonce: str
    new_account: str
    new_order: str
    revoke_cert: str | None = None
    key_change: str | None = None
    renewal_info: str | None = None
    meta: Meta = dataclasses.field(default_factory=Meta)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    An account (§7.1.2): its URL, which is also the `kid` of its requests, and where its orders are listed.
    """

    url: str
    status: str | None = None
    contact: tuple[str, ...] = ()
    orders: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    An order (§7.1.3). `replaces` is the identifier of the certificate that it takes the place of, once the server has accepted that
    (RFC 9773 §5). `retry_after` is what the answer that brought it asked for.
    """

    url: str
    status: str
    names: frozenset[Name]
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str | None = None
    expires: dt.datetime | None = None
    profile: str | None = None
    replaces: str | None = None
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
    found = fields.whole(response, url)
    return Directory(
        new_nonce=fields.address(found, "newNonce", url),
        new_account=fields.address(found, "newAccount", url),
        new_order=fields.address(found, "newOrder", url),
        revoke_cert=fields.address_or_none(found, "revokeCert", url),
        key_change=fields.address_or_none(found, "keyChange", url),
        renewal_info=fields.address_or_none(found, "renewalInfo", url),
        meta=_meta(found.get("meta")),
    )


def account(response: HttpResponse, *, url: str) -> Account:
    """
    Read an account.
    """
    found = fields.whole(response, url)
    return Account(
        url=url,
        status=fields.text_or_none(found, "status"),
        contact=fields.texts(found, "contact", most=_MOST_CONTACTS),
        orders=fields.address(found, "orders", url) if found.get("orders") else None,
    )


def order(response: HttpResponse, *, url: str, now: dt.datetime) -> Order:
    """
    Read an order.
    """
    found = fields.whole(response, url)
    named = fields.listed(found, "identifiers", url, most=_MOST_NAMES)
    # Each proves one of the names; more would be work without end.
    proofs = fields.listed(found, "authorizations", url, most=len(named))
    return Order(
        url=url,
        status=fields.text(found, "status", url),
        names=frozenset(_name(identifier, url) for identifier in named),
        authorizations=tuple(fields.as_address(each, "authorizations", url) for each in proofs),
        finalize=fields.address(found, "finalize", url),
        certificate=fields.address(found, "certificate", url) if found.get("certificate") else None,
        expires=fields.time(found.get("expires")),
        profile=fields.text_or_none(found, "profile"),
        replaces=fields.text_or_none(found, "replaces"),
        error=problems.from_document(found["error"]) if found.get("error") else None,
        retry_after=retry_after.of_answer(response, now=now),
    )


def authorization(response: HttpResponse, *, url: str, now: dt.datetime) -> Authorization:
    """
    Read an authorization.
    """
    found = fields.whole(response, url)
    name = _name(found.get("identifier"), url)
    wildcard = found.get("wildcard") is True and not is_wildcard(name)
    ways = fields.listed(found, "challenges", url, most=_MOST_CHALLENGES)
    return Authorization(
        url=url,
        status=fields.text(found, "status", url),
        name=Name(f"*.{name}") if wildcard else name,
        challenges=tuple(_challenge(each, url) for each in ways),
        retry_after=retry_after.of_answer(response, now=now),
    )


def order_list(response: HttpResponse, *, url: str) -> tuple[str, ...]:
    """
    Read a page of an account's orders (§7.1.2.1).
    """
    found = fields.listed(fields.whole(response, url), "orders", url, most=_MOST_LISTED)
    return tuple(fields.as_address(each, "orders", url) for each in found)


def identifiers(names: Sequence[Name]) -> list[dict[str, str]]:
    """
    Write names as identifiers (§7.1.3; RFC 8738 §3 for addresses).
    """
    return [{"type": "ip" if is_ip(name) else "dns", "value": name} for name in names]


def _meta(value: object) -> Meta:
    found = fields.part(value)
    offered = fields.part(found.get("profiles"))
    return Meta(
        terms_of_service=fields.text_or_none(found, "termsOfService"),
        website=fields.text_or_none(found, "website"),
        caa_identities=fields.texts(found, "caaIdentities", most=_MOST_IDENTITIES),
        external_account_required=found.get("externalAccountRequired") is True,
        profiles={
            shown: fields.text_or_none(offered, name) or ""
            for name in list(offered)[:_MOST_PROFILES]
            if (shown := problems.shown(name))
        },
    )


def _challenge(value: object, url: str) -> Challenge:
    found = fields.part(value)
    token = found.get("token")
    if token is not None and not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        raise problems.bad_answer(f"{url} offers a challenge whose token is not base64url")
    return Challenge(
        type=fields.text(found, "type", url),
        url=fields.address(found, "url", url),
        status=fields.text_or_none(found, "status") or "pending",
        token=token,
        error=problems.from_document(found["error"]) if found.get("error") else None,
    )


def _name(identifier: object, url: str) -> Name:
    value = fields.part(identifier).get("value")
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise problems.bad_answer(f"{url} answered with an identifier that is no name")
    text = value.lower()
    return Name(str(ipaddress.ip_address(text)) if is_ip(text) else text)
