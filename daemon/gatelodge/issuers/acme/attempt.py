"""
One attempt at a certificate: the order that was begun before if it is still good, else a new one, paid for and looked at from all
sides before the CA hears of it.

What comes of it is counted: failed authorizations, certificates, what the CA has had enough of. It is not tried again here.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING

from gatelodge.errors import IssuanceError
from gatelodge.issuers.acme import preflight
from gatelodge.issuers.acme.fulfilment import Fulfilment, OrderDead
from gatelodge.issuers.acme.orders import GOODBYE, Orders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from gatelodge.acme.client import Client
    from gatelodge.acme.messages import Order
    from gatelodge.acme.transport import Transport
    from gatelodge.issuers.acme.budgets import Claim, Purse
    from gatelodge.issuers.acme.fulfilment import Fulfilled
    from gatelodge.issuers.acme.record import Record, Records
    from gatelodge.model import CertificateAuthority, CertificateSpec, Name, Secret
    from gatelodge.ports import Clock, Issuer, Keys, Resolver, Solver
    from gatelodge.ports.advice import Adviser

    #: An order, what it cost, and what could not be found out before, by name.
    _Begun: TypeAlias = tuple[Record, Order, Claim, Mapping[Name, str]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    What `issue` was asked for.
    """

    spec: CertificateSpec
    replaces: str | None
    invited: bool
    force: bool
    private_key: Secret | None
    progress: Callable[[str], None]


class Attempts:
    """
    Attempts at one CA.
    """

    def __init__(
        self,
        *,
        authority: CertificateAuthority,
        transport: Transport,
        records: Records,
        purse: Purse,
        clock: Clock,
        keys: Keys,
        solvers: Mapping[str, Solver],
        preferred_chain: str | None,
        resolver: Callable[[], Resolver] | None,
        adviser: Adviser | None,
        others: Mapping[str, Issuer],
    ) -> None:
        """
        Args:
            solvers: by the word that a spec's `challenges` have for them.
            resolver: gives what looks up CAA records; None for not to.
            adviser: looks at what the CA did not find by http-01.
            others: the issuers of all CAs, by directory.
        """
        self._authority = authority
        self._transport = transport
        self._records = records
        self._purse = purse
        self._clock = clock
        self._keys = keys
        self._solvers = solvers
        self._preferred_chain = preferred_chain
        self._resolver = resolver
        self._adviser = adviser
        self._others = others

    async def make(self, client: Client, wish: Wish) -> Fulfilled:
        """
        Take up the order that was begun for a certificate, or begin one, and carry it to its end.

        Raises:
            IssuanceError, TransientError: it did not come to that.
            StateError: something could not be written down before the CA was asked.
        """
        spec, orders = wish.spec, self.orders(client)
        record = await self._records.get(spec.name)
        found = await self._taken_up(record, orders, wish) if record is not None else None
        if found is None:
            found = await self._begun(client, orders, wish, before=record)
        record, order, claim, unknown = found
        fulfilment = Fulfilment(
            ca=self._authority.name,
            client=client,
            solvers=self._ways(spec),
            alias=spec.alias,
            clock=self._clock,
            progress=wish.progress,
            preferred_chain=self._preferred_chain,
            adviser=self._adviser,
        )
        try:
            fulfilled = await fulfilment.fulfil(order, record)
        except OrderDead as error:
            await claim.refused(error.problem)
            await claim.failed(error.failed)
            await (claim.perhaps_signed() if fulfilment.signing else claim.not_signed())
            await orders.part(record)
            await self._records.close(spec.name)
            raise _told(error, unknown) from error
        except IssuanceError as error:
            await claim.refused(error.problem)
            raise
        await claim.signed()
        return fulfilled

    def orders(self, client: Client) -> Orders:
        """
        Return the orders of an account.
        """
        return Orders(
            authority=self._authority, client=client, records=self._records, clock=self._clock, keys=self._keys
        )

    async def given_up(self, record: Record) -> None:
        """
        Count what an order that is given up may have cost.
        """
        await (await self._purse.taken_up(record)).perhaps_signed()

    async def _part_elsewhere(self, record: Record, wish: Wish) -> None:
        """
        Have another CA's order for this certificate given up, if that CA can be told now; if not, it runs out by itself.
        """
        other = self._others.get(record.directory)
        if other is not None and record.directory != self._authority.directory:
            wish.progress(f"giving up the order at {record.ca}")
            with contextlib.suppress(IssuanceError, TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await other.abandon(record.certificate)

    async def _taken_up(self, record: Record, orders: Orders, wish: Wish) -> _Begun | None:
        """
        Return the order that was begun before, if it is still good.
        """
        wish.progress(f"asking {self._authority.name} for the order that was begun")
        found = await orders.take_up(record, wish.spec)
        claim = await self._purse.taken_up(record)
        if isinstance(found, frozenset):
            await claim.failed(found)
            if record.directory == self._authority.directory:  # else it counts at that CA
                await claim.perhaps_signed()
            return None
        return *found, claim, {}

    async def _begun(self, client: Client, orders: Orders, wish: Wish, *, before: Record | None) -> _Begun:
        """
        Order anew, once nothing is known to be in the way.

        Args:
            before: an order that was begun, here or elsewhere, and is of no use here.
        """
        spec = wish.spec
        directory = await self._transport.directory()
        # A CA that tells nothing about renewals knows of no replacement either.
        replaces = wish.replaces if directory.renewal_info is not None else None
        exempt = wish.invited and replaces is not None
        claim = await self._purse.order(spec.names, account=client.kid, replaces=exempt, force=wish.force)
        claim.check()
        wish.progress("looking for a way to prove each name")
        unknown = await preflight.look(
            spec,
            self._ways(spec),
            ca=self._authority.name,
            identities=frozenset(directory.meta.caa_identities),
            account=client.kid,
            resolver=self._resolver,
        )
        if before is not None and not orders.is_ours(before):
            await self._part_elsewhere(before, wish)
        begun = before.begun + 1 if before else 1
        record, order = await orders.begin(
            spec,
            begun=begun,
            replaces=replaces,
            claim=claim,
            private_key=wish.private_key,
            progress=wish.progress,
        )
        return record, order, claim, unknown

    def _ways(self, spec: CertificateSpec) -> Sequence[Solver]:
        return [self._solvers[challenge] for challenge in spec.challenges if challenge in self._solvers]


def _told(error: OrderDead, unknown: Mapping[Name, str]) -> OrderDead:
    """
    Keep what could not be found out of a name before beside what the CA says of it.
    """
    blamed = {sub.identifier: sub.type for sub in error.problem.subproblems}
    notes = [why for name, why in unknown.items() if preflight.of_records(blamed.get(name, error.problem.type))]
    if not notes:
        return error
    detail = "; ".join([error.problem.detail, *(f"looked at from here before: {note}" for note in notes)])
    return OrderDead(dataclasses.replace(error.problem, detail=detail), error.failed)
