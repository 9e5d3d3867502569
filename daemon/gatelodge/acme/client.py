"""
What an account can ask of an ACME server (RFC 8555 §7), one method for each request.

It keeps no state and decides nothing: `steps` says what to do next, `transport` carries. Everything here raises as
`Transport.post` does.
"""

from __future__ import annotations

import collections
import re
from typing import TYPE_CHECKING

from josepy.b64 import b64encode

from gatelodge.acme import messages, problems
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatelodge.acme.messages import Account, Authorization, Challenge, Order
    from gatelodge.acme.signer import Signer
    from gatelodge.acme.transport import Transport
    from gatelodge.model import JsonObject, Name
    from gatelodge.ports import HttpResponse

_CHAIN = "application/pem-certificate-chain"

#: Pages of an account's orders that are read, at most.
_MOST_PAGES = 50

#: Of so many pages, the orders that are kept: the last ones.
_MOST_LISTED = 1000

_NEXT = re.compile(r"<([^>]*)>[^,]*;\s*rel=\"?next\"?")


async def register(transport: Transport, signer: Signer, *, email: str | None) -> Account:
    """
    Make an account for a key, agreeing to the terms of service; return the one there is when the key has one (§7.3).
    """
    contact = {"contact": [f"mailto:{email}"]} if email else {}
    return await _account(transport, signer, {"termsOfServiceAgreed": True, **contact})


async def find(transport: Transport, signer: Signer) -> Account:
    """
    Return a key's account and make none (§7.3.1).

    Raises:
        IssuanceError: `accountDoesNotExist`: there is none.
    """
    return await _account(transport, signer, {"onlyReturnExisting": True})


async def _account(transport: Transport, signer: Signer, payload: JsonObject) -> Account:
    url = (await transport.directory()).new_account
    response = await transport.post(url, payload, signer=signer)
    return messages.account(response, url=_location(response, url))


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

    async def new_order(self, names: Sequence[Name], *, profile: str | None) -> Order:
        """
        Order a certificate (§7.4). Never sent twice: when the answer is lost, there may be an order that nobody knows.

        Args:
            profile: one of the server's (draft-ietf-acme-profiles).
        """
        payload: dict[str, object] = {"identifiers": messages.identifiers(names)}
        if profile is not None:
            payload["profile"] = profile
        url = (await self._transport.directory()).new_order
        response = await self._transport.post(url, payload, signer=self._signer, repeatable=False)
        return messages.order(response, url=_location(response, url), now=self._transport.now())

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

    async def certificate(self, url: str) -> str:
        """
        Fetch a certificate with its chain, as the server wrote it (§7.4.2). Bytes that no PEM has come as U+FFFD.
        """
        response = await self._transport.post(url, None, signer=self._signer, accept=_CHAIN)
        return response.body.decode("ascii", "replace")

    async def _authorization(self, url: str) -> Authorization:
        return messages.authorization(await self._get(url), url=url, now=self._transport.now())

    async def _get(self, url: str) -> HttpResponse:
        return await self._transport.post(url, None, signer=self._signer)

    async def _post(self, url: str, payload: JsonObject) -> HttpResponse:
        return await self._transport.post(url, payload, signer=self._signer)


def _location(response: HttpResponse, url: str) -> str:
    found = response.header("location")
    if not found:
        raise problems.bad_answer(f"{url} answered {response.status} without a Location")
    return messages.link(url, found)


def _next(response: HttpResponse, url: str) -> str | None:
    links = [found[1] for link in response.headers.get("link", ()) if (found := _NEXT.search(link))]
    return messages.link(url, links[0]) if links else None
