"""
Gets certificates from an ACME CA, so that an order survives a crash.

An order is on disk, with its key, before the CA is asked, and its URL as soon as the CA has named it. What is done about a
record that is found depends only on what the CA says of that order:

    pending, ready      go on
    processing          wait
    valid               fetch the certificate
    gone, invalid, expired, or made for other names or another account
                        give its open authorizations up, order anew
    its URL never came  look for it in the account's list of orders, where the CA keeps one that can be read; else order anew

So a crash costs at most one more order, and never a second certificate. Never in this file: when to try again, and what is
done with a certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import weakref
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatelodge.acme.transport import Transport
from gatelodge.errors import HttpDisconnected, IssuanceError, Problem, TransientError
from gatelodge.issuers.acme.account import Account
from gatelodge.issuers.acme.choice import choose
from gatelodge.issuers.acme.fulfilment import Fulfilment, OrderDead, passes
from gatelodge.issuers.acme.record import Record, Records

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from gatelodge.acme.client import Client
    from gatelodge.acme.messages import Order
    from gatelodge.model import CertificateAuthority, CertificateSpec, Name
    from gatelodge.ports import Clock, Documents, Events, Http, Issued, Keys, Solver

#: Orders that are carried on at once. 500 certificates are no reason for 500 connections.
CONCURRENT = 50

#: How many of an account's orders are looked through for one whose URL never came.
_MOST_LISTED = 100

#: Seconds for giving up authorizations when an order is dead: kind to the CA, and not worth waiting for.
_GOODBYE = 15.0


class Acme:
    """
    Implements `ports.Issuer` for one CA.
    """

    def __init__(
        self,
        *,
        authority: CertificateAuthority,
        http: Http,
        documents: Documents,
        clock: Clock,
        keys: Keys,
        solvers: Mapping[str, Solver],
        email: str | None,
        events: Events,
    ) -> None:
        """
        Args:
            solvers: by the word that a spec's `challenges` have for them.
            email: told to the CA as contact.
        """
        self._authority = authority
        self._transport = Transport(directory=authority.directory, http=http, clock=clock)
        self._account = Account(
            authority=authority, transport=self._transport, documents=documents, keys=keys, email=email, events=events
        )
        self._records = Records(documents)
        self._clock = clock
        self._keys = keys
        self._solvers = solvers
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._same_names: weakref.WeakValueDictionary[frozenset[Name], asyncio.Lock] = weakref.WeakValueDictionary()

    async def date(self) -> dt.datetime:
        """
        Return the CA's clock.

        Raises:
            TransientError: it cannot be had now.
        """
        return await self._transport.date()

    @contextlib.asynccontextmanager
    async def issue(self, spec: CertificateSpec, *, progress: Callable[[str], None]) -> AsyncIterator[Issued]:
        """
        Obtain a certificate, as `ports.Issuer` says.
        """
        yield await self._obtain(spec, progress)
        await self._records.close(spec.name)

    async def abandon(self, name: str) -> None:
        """
        Give up what was begun for a certificate, as `ports.Issuer` says.
        """
        record = await self._records.get(name)
        client = await self._account.known()
        if record is not None and client is not None and self._is_ours(record, client):
            try:
                await self._give_up_authorizations(client, record)
            except TransientError as error:
                raise self._unreachable(error) from error
            except IssuanceError as error:
                # Any other refusal says that there is nothing left to give up.
                if passes(error.problem):
                    raise
        await self._records.close(name)

    async def _obtain(self, spec: CertificateSpec, progress: Callable[[str], None]) -> Issued:
        # Let's Encrypt gives two orders for the same names the same pending order, and only one of two keys can have it.
        lock = self._same_names.setdefault(frozenset(spec.names), asyncio.Lock())
        progress(f"waiting for its turn at {self._authority.name}")
        try:
            async with lock, self._slots:
                client = await self._account.client(progress=progress)
                try:
                    return await self._attempt(client, spec, progress)
                except IssuanceError as error:
                    if error.problem.type != "accountDoesNotExist":
                        raise
                await self._account.recover(client.kid, progress=progress)
                return await self._attempt(await self._account.client(progress=progress), spec, progress)
        except TransientError as error:
            raise self._unreachable(error) from error

    async def _attempt(self, client: Client, spec: CertificateSpec, progress: Callable[[str], None]) -> Issued:
        record = await self._records.get(spec.name)
        order = None
        if record is not None:
            progress(f"asking {self._authority.name} for the order that was begun")
            order = await self._take_up(client, record, spec)
            if order is None:
                await self._part(client, record)
        if record is None or order is None:
            progress("looking for a way to prove each name")
            await choose(spec.names, self._ways(spec), alias=spec.alias)
            record, order = await self._begin(client, spec, begun=record.begun + 1 if record else 1, progress=progress)
        elif record.url is None:
            record = dataclasses.replace(record, url=order.url)
            await self._records.put(record)
        fulfilment = Fulfilment(
            ca=self._authority.name,
            client=client,
            solvers=self._ways(spec),
            alias=spec.alias,
            clock=self._clock,
            progress=progress,
        )
        try:
            return await fulfilment.fulfil(order, record)
        except OrderDead:
            await self._part(client, record)
            await self._records.close(spec.name)
            raise

    async def _take_up(self, client: Client, record: Record, spec: CertificateSpec) -> Order | None:
        """
        Return a record's order when it can still become the certificate that is wanted.
        """
        if not record.serves(spec) or not self._is_ours(record, client):
            return None
        if record.url is None:
            return await self._find(client, record)
        try:
            order = await client.order(record.url)
        except IssuanceError as error:
            if passes(error.problem) or error.problem.type == "accountDoesNotExist":
                raise
            return None
        return order if self._is_usable(order) else None

    async def _find(self, client: Client, record: Record) -> Order | None:
        """
        Look for an order whose URL never came, among those that no other certificate has a record of.
        """
        try:
            listed = await client.orders()
        except IssuanceError as error:
            if passes(error.problem) or error.problem.type == "accountDoesNotExist":
                raise
            # It names a list and does not keep one: an order more is better than a certificate that waits for ever.
            return None
        taken = await self._records.urls()
        for url in listed[:_MOST_LISTED]:
            if url in taken:
                continue
            try:
                order = await client.order(url)
            except IssuanceError as error:
                if passes(error.problem):
                    raise
                continue
            same = order.names == frozenset(record.names) and (
                record.profile is None or order.profile in {None, record.profile}
            )
            if same and order.status in {"pending", "ready"} and self._is_usable(order):
                return order
        return None

    async def _begin(
        self, client: Client, spec: CertificateSpec, *, begun: int, progress: Callable[[str], None]
    ) -> tuple[Record, Order]:
        """
        Order anew, and write the order down before and after.
        """
        progress(f"ordering from {self._authority.name}")
        record = Record(
            certificate=spec.name,
            digest=spec.digest,
            begun=begun,
            at=self._clock.now(),
            ca=self._authority.name,
            directory=self._authority.directory,
            kid=client.kid,
            names=spec.names,
            key=spec.key,
            profile=spec.profile,
            private_key=await self._keys.new(spec.key),
        )
        await self._records.put(record)
        try:
            order: Order | None = await client.new_order(record.names, profile=record.profile)
        except (IssuanceError, TransientError) as error:
            if not _may_have_arrived(error):
                await self._records.close(spec.name)
                raise
            order = await self._find(client, record)
        if order is None:
            record = dataclasses.replace(record, begun=begun + 1)
            await self._records.put(record)
            order = await client.new_order(record.names, profile=record.profile)
        record = dataclasses.replace(record, url=order.url)
        await self._records.put(record)
        return record, order

    async def _part(self, client: Client, record: Record) -> None:
        """
        Give up an order's open authorizations if that is possible now.
        """
        if not self._is_ours(record, client):
            return
        with contextlib.suppress(IssuanceError, TransientError, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self._give_up_authorizations(client, record)

    async def _give_up_authorizations(self, client: Client, record: Record) -> None:
        if record.url is None:
            return
        order = await client.order(record.url)
        # Valid ones stay: other certificates with the same names live on them.
        seen = await client.authorizations(order.authorizations)
        await client.deactivate([each for each in seen if each.status == "pending"])

    def _ways(self, spec: CertificateSpec) -> Sequence[Solver]:
        return [self._solvers[challenge] for challenge in spec.challenges if challenge in self._solvers]

    def _is_ours(self, record: Record, client: Client) -> bool:
        return record.directory == self._authority.directory and record.kid == client.kid

    def _is_usable(self, order: Order) -> bool:
        expired = order.expires is not None and order.expires <= self._clock.now() and order.certificate is None
        return order.status != "invalid" and not expired

    def _unreachable(self, error: TransientError) -> IssuanceError:
        host = urlsplit(self._authority.directory).hostname
        return IssuanceError(
            Problem(
                type="unreachable",
                detail=f"{self._authority.name} ({host}): {error}; check this machine's network and DNS",
                retry_after=error.retry_after,
            )
        )


def _may_have_arrived(error: IssuanceError | TransientError) -> bool:
    """
    Tell whether a request that failed so may have been acted on.
    """
    if isinstance(error, IssuanceError):
        return error.problem.type == "badAnswer" or (error.problem.status or 0) >= 500  # noqa: PLR2004 - class of status
    return isinstance(error, HttpDisconnected)
