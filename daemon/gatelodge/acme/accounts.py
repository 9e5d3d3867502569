"""
What can be asked of an ACME server about an account (RFC 8555 §7.3), one function for each request.

They keep no state. Everything here raises as `Transport.post` does.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from gatelodge.acme import fields, messages, problems
from gatelodge.errors import IssuanceError, Problem

if TYPE_CHECKING:
    from gatelodge.acme.binding import ExternalAccount
    from gatelodge.acme.messages import Account
    from gatelodge.acme.signer import Signer
    from gatelodge.acme.transport import Transport
    from gatelodge.model import JsonObject
    from gatelodge.ports import HttpResponse


async def register(
    transport: Transport, signer: Signer, *, email: str | None, binding: ExternalAccount | None = None
) -> Account:
    """
    Make an account for a key, agreeing to the terms of service; return the one there is when the key has one (§7.3).

    Args:
        binding: what the CA knows its customer by (§7.3.4).

    Raises:
        IssuanceError: `externalAccountRequired`: the server says beforehand that it takes no account without a binding.
            `externalAccount`: it refused the binding, or the key to make it with is no key.
    """
    directory = await transport.directory()
    payload: dict[str, object] = {"termsOfServiceAgreed": True, **_contact(email)}
    if binding is None:
        if directory.meta.external_account_required:
            raise IssuanceError(
                Problem(type="externalAccountRequired", detail="this CA makes accounts for its customers only")
            )
        return await _account(transport, signer, payload)
    try:
        payload["externalAccountBinding"] = binding.bind(signer.public_key, url=directory.new_account)
    except ValueError as error:
        raise IssuanceError(
            Problem(type="externalAccount", detail=f"the key named {binding.kid} cannot be used: {error}")
        ) from None
    try:
        return await _account(transport, signer, payload)
    except IssuanceError as error:
        raise _unbound(error.problem, binding) or error from error


async def find(transport: Transport, signer: Signer) -> Account:
    """
    Return a key's account and make none (§7.3.1).

    Raises:
        IssuanceError: `accountDoesNotExist`: there is none.
    """
    return await _account(transport, signer, {"onlyReturnExisting": True})


async def read(transport: Transport, signer: Signer) -> Account:
    """
    Return the account of a signer that knows its `kid`.
    """
    return await _own(transport, signer, None)


async def update(transport: Transport, signer: Signer, *, email: str | None) -> Account:
    """
    Change whom the CA writes to (§7.3.2); None takes all addresses away.
    """
    return await _own(transport, signer, {"contact": [], **_contact(email)})


async def deactivate(transport: Transport, signer: Signer) -> Account:
    """
    Give an account up for good (§7.3.6): the server takes no request of its key any more.
    """
    return await _own(transport, signer, {"status": "deactivated"})


async def roll_over(transport: Transport, signer: Signer, new: Signer) -> None:
    """
    Have an account go by another key (§7.3.5): the new one signs for the old one, and the old one for the whole.

    Sent again when the answer was lost; if the first did arrive, the old key is refused, and `find` with the new one tells.

    Raises:
        IssuanceError: also `unsupported`: the server names no place to ask, or does not do it, which no later try will change.
    """
    url = (await transport.directory()).key_change
    if url is None:
        raise IssuanceError(Problem(type="unsupported", detail="this CA does not say how to change an account's key"))
    change = {"account": signer.kid, "oldKey": signer.public_key}
    try:
        await transport.post(url, new.sign_inner(change, url=url), signer=signer)
    except IssuanceError as error:
        if error.problem.status != HTTPStatus.NOT_IMPLEMENTED:
            raise
        # step-ca and Caddy name a place that answers so, and call it `rejectedIdentifier` (smallstep/certificates acme/errors.go).
        told = f"this CA does not change accounts' keys: {error.problem.detail}"
        raise IssuanceError(Problem(type="unsupported", detail=told)) from error


def location(response: HttpResponse, url: str) -> str:
    """
    Return the URL that was given to what a request made.
    """
    found = response.header("location")
    if not found:
        raise problems.bad_answer(f"{url} answered {response.status} without a Location")
    return fields.link(url, found)


async def _account(transport: Transport, signer: Signer, payload: JsonObject) -> Account:
    url = (await transport.directory()).new_account
    response = await transport.post(url, payload, signer=signer)
    return messages.account(response, url=location(response, url))


async def _own(transport: Transport, signer: Signer, payload: JsonObject | None) -> Account:
    url = signer.kid or ""
    return messages.account(await transport.post(url, payload, signer=signer), url=url)


def _contact(email: str | None) -> dict[str, list[str]]:
    return {"contact": [f"mailto:{email}"]} if email else {}


def _unbound(problem: Problem, binding: ExternalAccount) -> IssuanceError | None:
    """
    Return the error for a binding that was refused, when it was that.
    """
    if problem.type not in {"externalAccountRequired", "malformed", "unauthorized"}:
        return None
    return IssuanceError(
        Problem(
            type="externalAccount",
            detail=f"the binding by the key named {binding.kid} was refused: {problem.type}: {problem.detail}",
            status=problem.status,
            retry_after=problem.retry_after,
            instance=problem.instance,
        )
    )
