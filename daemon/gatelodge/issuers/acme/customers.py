"""
Finds out what a CA knows us by, where it makes accounts for its customers only (RFC 8555 §7.3.4).

Asked for when an account is made, and kept nowhere: a key in a file is read then, and one that a service gives for an e-mail address
is used at once. No key, and no answer that holds one, is ever shown.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlencode

from gatelodge.acme.binding import ExternalAccount
from gatelodge.credentials import fetch
from gatelodge.errors import IssuanceError, Problem, SecretMissing, TransientError
from gatelodge.model import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatelodge.model import Customer
    from gatelodge.ports import Http

#: Gives what an account is bound with.
Binding: TypeAlias = "Callable[[], Awaitable[ExternalAccount]]"

_OK = 200
_TOO_MANY = 429
_SERVER_ERROR = 500


async def known(customer: Customer, *, ca: str) -> ExternalAccount:
    """
    Return the key that the configuration names.

    Raises:
        IssuanceError: `externalAccount`: it is not there.
    """
    try:
        return ExternalAccount(kid=customer.kid, hmac_key=fetch(customer.hmac_key))
    except SecretMissing as error:
        raise IssuanceError(Problem(type="externalAccount", detail=f"the key of {ca}: {error}")) from None


async def fetched(http: Http, service: str, *, email: str, ca: str) -> ExternalAccount:
    """
    Return the key that a service gives for an e-mail address.

    Raises:
        IssuanceError: it gives none: `externalAccount`, or what a server in trouble says.
    """
    try:
        answer = await http.request(
            "POST",
            service,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode({"email": email}).encode(),
        )
    except TransientError as error:
        raise _failed("unreachable", f"{ca} cannot be asked for a key: {error}") from None
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    found = document if isinstance(document, dict) else {}
    kid, key = found.get("eab_kid"), found.get("eab_hmac_key")
    if answer.status == _OK and isinstance(kid, str) and isinstance(key, str) and kid and key:
        return ExternalAccount(kid=kid, hmac_key=Secret(key))
    asked = f"{ca}, asked for a key for {email}, answered {answer.status} and gave none"
    if answer.status == _TOO_MANY:
        raise _failed("rateLimited", asked, status=answer.status)
    if answer.status >= _SERVER_ERROR:
        raise _failed("serverInternal", asked, status=answer.status)
    remedy = f"look at email under [acme], or take a key from {ca}'s page for developers as eab of [acme.cas.{ca}]"
    raise _failed("externalAccount", f"{asked}; {remedy}", status=answer.status)


def _failed(kind: str, detail: str, *, status: int | None = None) -> IssuanceError:
    return IssuanceError(Problem(type=kind, detail=detail, status=status))
