"""
What can be asked of an ACME server about orders and certificates (RFC 8555 §7.4-§7.6, RFC 9773), one method for each request.

It keeps no state: `steps` says what to do next, `transport` carries. Everything here raises as `Transport.post` does.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

from josepy.b64 import b64encode

from gatelodge.acme import accounts, chains, fields, messages, problems, renewal_info
from gatelodge.errors import IssuanceError, Problem, TransientError
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatelodge.acme.chains import Chain
    from gatelodge.acme.messages import Authorization, Challenge, Order
    from gatelodge.acme.signer import Signer
    from gatelodge.acme.transport import Transport
    from gatelodge.model import JsonObject, Name, RenewalInfo, RevocationReason
    from gatelodge.ports import HttpResponse

_CHAIN = "application/pem-certificate-chain"

#: Pages of an account's orders that are read, at most.
_MOST_PAGES = 50

#: Of so many pages, the orders that are kept: the last ones.
_MOST_LISTED = 1000

#: Of a certificate's chains, those that are looked at.
_MOST_CHAINS = 10


async def revoke(
    transport: Transport, signer: Signer, certificate: bytes, *, reason: RevocationReason | None = None
) -> None:
    """
    Have a certificate revoked (§7.6). Nothing happens when it was before.

    Args:
        signer: of the account that got it, or of its own key.
        certificate: as DER.

    Raises:
        IssuanceError: also `unsupported`: the server names no place to ask.
    """
    url = (await transport.directory()).revoke_cert
    if url is None:
        raise IssuanceError(Problem(type="unsupported", detail="this CA does not say how to revoke a certificate"))
    payload: dict[str, object] = {"certificate": b64encode(certificate).decode()}
    if reason is not None:
        payload["reason"] = reason.code
    try:
        response = await transport.post(url, payload, signer=signer)
    except IssuanceError as error:
        if error.problem.type != "alreadyRevoked":
            raise
        return
    # There is nothing to read in the answer (§7.6), but whoever read the request has sent a nonce (§6.5): no page of a gateway.
    if response.header("replay-nonce") is None:
        raise problems.bad_answer(f"{url} answered without a nonce")


async def ask_renewal(transport: Transport, certificate: str) -> RenewalInfo | None:
    """
    Ask when a certificate should be replaced (RFC 9773 §4.1); None when the server does not tell such things.

    Args:
        certificate: its identifier.
    """
    base = (await transport.directory()).renewal_info
    if base is None:
        return None
    url = f"{base.rstrip('/')}/{certificate}"
    return renewal_info.read(await transport.get(url), url=url, certificate=certificate, now=transport.now())


class Client:
    """
    One account of a server; `signer` knows its `kid`.
    """

    def __init__(self, *, transport: Transport, signer: Signer) -> None:
        self._transport = transport
        self._signer = signer

    @property
    def kid(self) -> str:
        """
        The account's URL.
        """
        return self._signer.kid or ""

    def key_authorization(self, token: str) -> str:
        """
        Return what a challenge's token is answered with.
        """
        return self._signer.key_authorization(token)

    async def new_order(self, names: Sequence[Name], *, profile: str | None, replaces: str | None = None) -> Order:
        """
        Order a certificate (§7.4). Never sent twice: when the answer is lost, there may be an order that nobody knows.

        Args:
            profile: one of the server's (draft-ietf-acme-profiles).
            replaces: the identifier of the certificate whose place it takes (RFC 9773 §5). The order says whether that was accepted; a server may
                also refuse the order for it (`problems.objects_to_replaces`). One without renewal information is not told.

        Raises:
            IssuanceError: also `invalidProfile`, before the server is asked: it does not offer that profile.
        """
        directory = await self._transport.directory()
        payload: dict[str, object] = {"identifiers": messages.identifiers(names)}
        if profile is not None:
            if profile not in directory.meta.profiles:
                raise _not_offered(profile, directory.meta.profiles)
            payload["profile"] = profile
        if replaces is not None and directory.renewal_info is not None:
            payload["replaces"] = replaces
        url = directory.new_order
        response = await self._transport.post(url, payload, signer=self._signer, repeatable=False)
        return messages.order(response, url=accounts.location(response, url), now=self._transport.now())

    async def order(self, url: str) -> Order:
        """
        Ask for an order.
        """
        return messages.order(await self._get(url), url=url, now=self._transport.now())

    async def orders(self) -> tuple[str, ...]:
        """
        Return the URLs of the account's orders, the last listed first; nothing when the server keeps no list (§7.1.2.1).
        """
        url = messages.account(await self._get(self.kid), url=self.kid).orders
        found: collections.deque[str] = collections.deque(maxlen=_MOST_LISTED)
        for _ in range(_MOST_PAGES):
            if url is None:
                break
            response = await self._get(url)
            found += messages.order_list(response, url=url)
            url = _next(response, url)
        return tuple(reversed(found))

    async def authorizations(self, urls: Sequence[str]) -> tuple[Authorization, ...]:
        """
        Ask for authorizations (§7.5), all at once.
        """
        return tuple(await together(self._authorization(url) for url in urls))

    async def answer(self, challenge: Challenge) -> None:
        """
        Tell the server that a challenge can be checked (§7.5.1).

        Sent again when the answer was lost; if the first did arrive and the check is over, it is refused, and the authorization
        tells.
        """
        await self._post(challenge.url, {})

    async def deactivate(self, authorizations: Sequence[Authorization]) -> None:
        """
        Give authorizations up (§7.5.2), all at once.
        """
        await together(self._post(each.url, {"status": "deactivated"}) for each in authorizations)

    async def finalize(self, order: Order, csr: bytes) -> Order:
        """
        Send the CSR (§7.4).

        Sent again when the answer was lost; if the first did arrive, the refusal is `orderNotReady`, and the order tells.
        """
        response = await self._post(order.finalize, {"csr": b64encode(csr).decode()})
        return messages.order(response, url=order.url, now=self._transport.now())

    async def certificate(self, url: str, *, preferred: str | None = None) -> Chain:
        """
        Fetch a certificate with its chain (§7.4.2). Bytes that no PEM has come as U+FFFD.

        Args:
            preferred: the root that the chain should lead to. Where the server's own choice leads elsewhere, its others are
                looked at, one after the other; where none fits, or they cannot be had, its own choice it is.
        """
        response = await self._transport.post(url, None, signer=self._signer, accept=_CHAIN)
        first = _chain(response, preferred)
        if first.preferred:
            return first
        for other in fields.links(response, url, relation="alternate")[:_MOST_CHAINS]:
            try:
                chain = _chain(await self._transport.post(other, None, signer=self._signer, accept=_CHAIN), preferred)
            except IssuanceError:
                continue
            except TransientError:
                break
            if chain.preferred:
                return chain
        return first

    async def revoke(self, certificate: bytes, *, reason: RevocationReason | None = None) -> None:
        """
        Have a certificate of this account's revoked, as `revoke`.
        """
        await revoke(self._transport, self._signer, certificate, reason=reason)

    async def _authorization(self, url: str) -> Authorization:
        return messages.authorization(await self._get(url), url=url, now=self._transport.now())

    async def _get(self, url: str) -> HttpResponse:
        return await self._transport.post(url, None, signer=self._signer)

    async def _post(self, url: str, payload: JsonObject) -> HttpResponse:
        return await self._transport.post(url, payload, signer=self._signer)


def _chain(response: HttpResponse, preferred: str | None) -> Chain:
    return chains.read(response.body.decode("ascii", "replace"), preferred=preferred)


def _next(response: HttpResponse, url: str) -> str | None:
    found = fields.links(response, url, relation="next")
    return found[0] if found else None


def _not_offered(profile: str, offered: Mapping[str, str]) -> IssuanceError:
    listed = "; ".join(f"{name} ({about})" if about else name for name, about in offered.items())
    what = f"it offers {listed}" if listed else "it offers none: take `profile` out"
    return IssuanceError(Problem(type="invalidProfile", detail=f"this CA has no profile {profile!r}; {what}"))
