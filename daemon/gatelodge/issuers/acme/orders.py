"""
Decides which order a certificate gets its signature by: the one that was begun and is still good, else a new one.

What is done about a record that is found depends only on what the CA says of that order:

    pending, ready      go on
    processing          wait
    valid               fetch the certificate
    gone, invalid, expired, or made for other names or another account
                        give its open authorizations up, order anew
    its URL never came  look for it in the account's list of orders, where the CA keeps one that can be read; else order anew

So a crash costs at most one more order, and never a second certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from gatelodge.acme.problems import objects_to_replaces
from gatelodge.errors import IssuanceError, TransientError
from gatelodge.issuers.acme.passing import may_have_acted, passes
from gatelodge.issuers.acme.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.acme.client import Client
    from gatelodge.acme.messages import Order
    from gatelodge.issuers.acme.budgets import Claim
    from gatelodge.issuers.acme.record import Records
    from gatelodge.model import CertificateAuthority, CertificateSpec, Name, Secret
    from gatelodge.ports import Clock, Keys

#: How many of an account's orders are looked through for one whose URL never came.
_MOST_LISTED = 100

#: How long an order without an end is believed in (Let's Encrypt's end after seven days).
_LONGEST = dt.timedelta(days=30)

#: Seconds for giving up authorizations when an order is dead: kind to the CA, and not worth waiting for.
GOODBYE = 15.0


class Orders:
    """
    The orders that one account has at a CA, with what is on disk about them.
    """

    def __init__(
        self, *, authority: CertificateAuthority, client: Client, records: Records, clock: Clock, keys: Keys
    ) -> None:
        self._authority = authority
        self._client = client
        self._records = records
        self._clock = clock
        self._keys = keys

    async def take_up(self, record: Record, spec: CertificateSpec) -> tuple[Record, Order] | frozenset[Name]:
        """
        Return a record's order when it can still become the certificate that is wanted; else give it up, and return the names whose
        authorization failed while nobody looked.
        """
        order = await self._still_good(record, spec)
        if order is None:
            return await self.part(record)
        if record.url is None:
            record = dataclasses.replace(record, url=order.url)
            await self._records.put(record)
        return record, order

    async def begin(
        self,
        spec: CertificateSpec,
        *,
        begun: int,
        replaces: str | None,
        claim: Claim,
        private_key: Secret | None,
        progress: Callable[[str], None],
    ) -> tuple[Record, Order]:
        """
        Order anew, and write the order down before and after.

        Args:
            begun: how many orders that makes for this certificate.
            replaces: the identifier of the certificate whose place it takes.
            claim: what it costs; paid before the CA is asked.
            private_key: the one that the certificate is to be for, in place of a new one.
        """
        progress(f"ordering from {self._authority.name}")
        record = Record(
            certificate=spec.name,
            digest=spec.digest,
            begun=begun,
            at=self._clock.now(),
            ca=self._authority.name,
            directory=self._authority.directory,
            kid=self._client.kid,
            names=spec.names,
            key=spec.key,
            profile=spec.profile,
            kind=claim.kind,
            private_key=private_key or await self._keys.new(spec.key),
        )
        await self._records.put(record)
        order: Order | None
        try:
            order = await self._new(record, replaces, claim)
        except (IssuanceError, TransientError) as error:
            if not may_have_acted(error):
                await self._records.close(spec.name)
                raise
            order = await self._find(record)
        if order is None:
            record = dataclasses.replace(record, begun=begun + 1)
            await self._records.put(record)
            order = await self._new(record, replaces, claim)
        if order.replaces is None:
            await claim.not_exempt()
            record = dataclasses.replace(record, kind=claim.kind)
        record = dataclasses.replace(record, url=order.url)
        await self._records.put(record)
        return record, order

    async def part(self, record: Record) -> frozenset[Name]:
        """
        Give up an order's open authorizations if that is possible now. Returns the names whose authorization failed.
        """
        failed: set[Name] = set()
        if self.is_ours(record):
            with contextlib.suppress(IssuanceError, TransientError, TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await self.give_up(record, failed)
        return frozenset(failed)

    async def give_up(self, record: Record, failed: set[Name] | None = None) -> None:
        """
        Give up an order's open authorizations. Valid ones stay: other certificates with the same names live on them.

        Args:
            failed: the names whose authorization failed are added to it.
        """
        if record.url is None:
            return
        order = await self._client.order(record.url)
        seen = await self._client.authorizations(order.authorizations)
        if failed is not None:
            failed |= {each.name for each in seen if each.status == "invalid"}
        await self._client.deactivate([each for each in seen if each.status == "pending"])

    def is_ours(self, record: Record) -> bool:
        """
        Tell whether a record is of an order of this account's.
        """
        return record.directory == self._authority.directory and record.kid == self._client.kid

    async def _new(self, record: Record, replaces: str | None, claim: Claim) -> Order:
        """
        Pay and order. What it cost comes back when the CA surely made no order of it. A CA that objects to what the order replaces is asked once
        more, for an ordinary one, if that can be paid.
        """
        await claim.pay()
        try:
            return await self._client.new_order(record.names, profile=record.profile, replaces=replaces)
        except (IssuanceError, TransientError) as error:
            if not may_have_acted(error):
                await claim.not_ordered()
            if not isinstance(error, IssuanceError):
                raise
            # An answer that makes no sense objects to nothing: it may be a gateway's, and the order may be there.
            objects = error.problem.type != "badAnswer" and objects_to_replaces(error.problem)
            if replaces is None or not objects:
                await claim.refused(error.problem)
                raise
        claim.replaces_nothing()
        return await self._new(record, None, claim)

    async def _still_good(self, record: Record, spec: CertificateSpec) -> Order | None:
        if not record.serves(spec) or not self.is_ours(record):
            return None
        if record.url is None:
            return await self._find(record)
        try:
            order = await self._client.order(record.url)
        except IssuanceError as error:
            if passes(error.problem) or error.problem.type == "accountDoesNotExist":
                raise
            return None
        return order if self._is_usable(order, record) else None

    async def _find(self, record: Record) -> Order | None:
        """
        Look for an order whose URL never came, among those that no other certificate has a record of.
        """
        try:
            listed = await self._client.orders()
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
                order = await self._client.order(url)
            except IssuanceError as error:
                if passes(error.problem):
                    raise
                continue
            same = order.names == frozenset(record.names) and (
                record.profile is None or order.profile in {None, record.profile}
            )
            if same and order.status in {"pending", "ready"} and self._is_usable(order, record):
                return order
        return None

    def _is_usable(self, order: Order, record: Record) -> bool:
        ends = order.expires or record.at + _LONGEST
        expired = ends <= self._clock.now() and order.certificate is None
        return order.status != "invalid" and not expired
