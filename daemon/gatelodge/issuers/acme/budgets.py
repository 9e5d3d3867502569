"""
Keeps what is left at each CA on disk, and spends it before the CA is asked.

One document for each directory, whatever the configuration calls it: the same limits are met under any name. What is spent is on disk
before the request leaves, so a daemon that dies in between has spent it. A document that cannot be read is told (`state.damaged`) and
begun anew as full: what the CA closes it says again. How much anything costs stands in `core.charges`.
"""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING

from gatelodge.core import budget, charges, limits
from gatelodge.core.limits import Counted, Kind
from gatelodge.errors import IssuanceError
from gatelodge.issuers.acme import domains

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping

    from gatelodge.core.budget import Budget
    from gatelodge.core.charges import Bucket
    from gatelodge.errors import Problem
    from gatelodge.issuers.acme.record import Record
    from gatelodge.model import CertificateAuthority, JsonObject, Name
    from gatelodge.ports import Clock, Documents

KIND = "journal/budgets"

#: Accounts are counted by the address that asks, which is this machine's.
_ACCOUNTS = frozenset({(Counted.ACCOUNTS, "")})

_RATE_LIMITED = "rateLimited"


class Budgets:
    """
    What is left at all CAs. The daemon is the only one who writes it (it holds the lock).
    """

    def __init__(self, *, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._kept: Mapping[str, JsonObject] | None = None
        self._budgets: dict[str, Budget] = {}
        self._changes: collections.Counter[str] = collections.Counter()
        self._written: collections.Counter[str] = collections.Counter()
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """
        Read everything from disk, once.

        Raises:
            StateError: it cannot be read.
        """
        if self._kept is None:
            self._kept = await self._documents.list(KIND)

    @property
    def now(self) -> dt.datetime:
        """
        Our clock's time.
        """
        return self._clock.now()

    def of(self, authority: CertificateAuthority) -> Purse:
        """
        Return what is left at one CA.
        """
        return Purse(self, authority)

    def shown(self, authorities: Iterable[CertificateAuthority]) -> list[JsonObject]:
        """
        Return what is not full, of each CA, as JSON objects for people and programs.
        """
        now = self.now
        return [
            {"ca": authority.name, **entry} for authority in authorities for entry in self.budget(authority).shown(now)
        ]

    def budget(self, authority: CertificateAuthority) -> Budget:
        """
        Return what is left at a CA now; everything before `load`.
        """
        directory = authority.directory
        known = limits.limits_of(directory, public=authority.production)
        if self._kept is None:
            return budget.Budget(limits=known)
        if directory not in self._budgets:
            self._budgets[directory] = budget.from_document(self._kept.get(directory, {}), known).settled(self.now)
        return self._budgets[directory]

    def settle(self, authority: CertificateAuthority) -> None:
        """
        Forget what is no matter any more, as `Budget.settled`.
        """
        self._budgets[authority.directory] = self.budget(authority).settled(self.now)

    async def change(self, authority: CertificateAuthority, change: Callable[[Budget, dt.datetime], Budget]) -> None:
        """
        Change what is left at a CA. It holds at once, and is on disk when this returns; changes that come together share a write.

        Raises:
            StateError: it cannot be written. It holds all the same.
        """
        directory = authority.directory
        before = self.budget(authority)
        after = self._budgets[directory] = change(before, self.now)
        if after == before:
            return
        self._changes[directory] += 1
        mine = self._changes[directory]
        async with self._writing:
            if self._written[directory] < mine:
                upto = self._changes[directory]
                # Here, and not at each change: it looks at every bucket, and certificates come by the hundred.
                self.settle(authority)
                await self._documents.put(KIND, directory, self._budgets[directory].document())
                self._written[directory] = upto


class Purse:
    """
    What is left at one CA. Everything that changes it raises `StateError` when it cannot be written down.
    """

    def __init__(self, budgets: Budgets, authority: CertificateAuthority) -> None:
        self._budgets = budgets
        self._authority = authority

    async def order(self, names: Iterable[Name], *, account: str, replaces: bool, force: bool) -> Claim:
        """
        Return what an order would cost.

        Args:
            replaces: the CA will be told which certificate it takes the place of, in the time that it suggested (RFC 9773 §5).
            force: our own count is no reason not to ask.
        """
        await self._budgets.load()
        listed = tuple(names)
        found = self._budgets.budget(self._authority)
        if any(limit.counted is Counted.CERTIFICATES_PER_DOMAIN for limit in found.limits):
            # Read beside the loop, which the list would hold up.
            await asyncio.to_thread(domains.suffixes)
        known = charges.set_of(listed) in found.certified
        kind = Kind.REPLACEMENT if replaces and not force else Kind.RENEWAL if known else Kind.NEW
        return Claim(self, listed, account=account, kind=kind, known=known, force=force)

    async def taken_up(self, record: Record) -> Claim:
        """
        Return what an order cost that was begun before.
        """
        claim = await self.order(record.names, account=record.kid, replaces=False, force=False)
        claim.kind = record.kind
        return claim

    async def account(self) -> None:
        """
        Spend what making an account costs.

        Raises:
            IssuanceError: `budget`: there is none left.
        """
        await self._budgets.load()
        self.check(_ACCOUNTS, _ACCOUNTS, force=False)
        await self.spend(_ACCOUNTS)

    async def account_refused(self, problem: Problem | None) -> None:
        """
        Put back what making an account would have cost: the CA refused, or was not reached.
        """
        await self.give_back(_ACCOUNTS)
        if problem is not None:
            await self.refused(problem, _ACCOUNTS, usual=Counted.ACCOUNTS)

    @property
    def limits(self) -> tuple[limits.Limit, ...]:
        """
        What the CA allows.
        """
        return self._budgets.budget(self._authority).limits

    def check(self, costs: frozenset[Bucket], everything: frozenset[Bucket], *, force: bool) -> None:
        """
        Refuse what cannot be paid.

        Args:
            everything: what would be asked of, were nothing exempt: what of it the CA has closed is closed.

        Raises:
            IssuanceError: `budget`.
        """
        now, found = self._budgets.now, self._budgets.budget(self._authority)
        short = found.closure(everything, now) or (None if force else found.shortage(costs, now))
        if short is not None:
            # What a clock that was wrong has dated ahead refills from now on.
            self._budgets.settle(self._authority)
            raise IssuanceError(short.problem(self._authority.name, now))

    async def spend(self, costs: frozenset[Bucket]) -> None:
        """
        Take one out of each bucket.
        """
        await self._budgets.change(self._authority, lambda before, now: before.spend(costs, now))

    async def give_back(self, costs: frozenset[Bucket]) -> None:
        """
        Put one into each bucket again.
        """
        await self._budgets.change(self._authority, lambda before, now: before.give_back(costs, now))

    async def certified(self, names: Iterable[Name], costs: frozenset[Bucket]) -> None:
        """
        Remember that a set of names was certified, at a CA to which that makes a difference. A CA counts a certificate when it signs it
        (Boulder ra/ra.go, countCertificateIssued), so what it cost is taken as spent now.
        """
        if self.limits:
            await self._budgets.change(
                self._authority, lambda before, now: before.postpone(costs, now).certify(names, now)
            )

    async def postpone(self, costs: frozenset[Bucket]) -> None:
        """
        Take what was spent before as spent now.
        """
        await self._budgets.change(self._authority, lambda before, now: before.postpone(costs, now))

    async def refused(self, problem: Problem, everything: frozenset[Bucket], *, usual: Counted) -> None:
        """
        Close what a CA refused to be asked for, until the time that it names.

        Args:
            everything: what it may have meant.
            usual: what it meant when it does not say.
        """
        if problem.type != _RATE_LIMITED:
            return
        met = limits.refused(problem.detail) or usual
        closing = frozenset(cost for cost in everything if cost[0] is met)
        closing = _named(closing, problem.detail)
        wait = problem.retry_after or budget.UNSAID
        await self._budgets.change(self._authority, lambda before, now: before.close(closing, now, until=now + wait))


class Claim:
    """
    What one order costs at a CA.
    """

    def __init__(
        self, purse: Purse, names: tuple[Name, ...], *, account: str, kind: Kind, known: bool, force: bool
    ) -> None:
        self.kind = kind
        self._purse = purse
        self._names = names
        self._account = account
        self._known = known
        self._force = force

    def check(self) -> None:
        """
        Refuse an order that cannot be paid.

        Raises:
            IssuanceError: `budget`.
        """
        failures = charges.of_failures(self._names, self.kind, self._purse.limits, account=self._account)
        self._purse.check(self._costs(self.kind) | failures, self._everything(), force=self._force)

    async def pay(self) -> None:
        """
        Spend it.

        Raises:
            IssuanceError: `budget`: others were quicker.
        """
        self.check()
        await self._purse.spend(self._costs(self.kind))

    def replaces_nothing(self) -> None:
        """
        It is no replacement to the CA: what it costs is what others do.
        """
        if self.kind is Kind.REPLACEMENT:
            self.kind = Kind.RENEWAL if self._known else Kind.NEW

    async def not_exempt(self) -> None:
        """
        The CA took the order, and not as a replacement: it counts.
        """
        if self.kind is Kind.REPLACEMENT:
            self.replaces_nothing()
            await self._purse.spend(self._costs(self.kind))

    async def not_ordered(self) -> None:
        """
        The CA refused the order, or was not reached: put everything back.
        """
        await self._purse.give_back(self._costs(self.kind))

    async def not_signed(self) -> None:
        """
        The order ended before it could be signed: it counts, and no certificate does.
        """
        await self._purse.give_back(charges.of_certificates(self._costs(self.kind)))

    async def failed(self, names: Iterable[Name]) -> None:
        """
        Count failed authorizations.
        """
        limits = self._purse.limits
        await self._purse.spend(charges.of_failures(names, self.kind, limits, account=self._account))

    async def signed(self) -> None:
        """
        Remember that these names were certified.
        """
        await self._purse.certified(self._names, charges.of_certificates(self._costs(self.kind)))

    async def perhaps_signed(self) -> None:
        """
        The order ended, and the CA may have signed a certificate that never came: it counts from now.
        """
        await self._purse.postpone(charges.of_certificates(self._costs(self.kind)))

    async def refused(self, problem: Problem) -> None:
        """
        Remember it when a CA has had enough.
        """
        await self._purse.refused(problem, self._everything(), usual=Counted.ORDERS)

    def _costs(self, kind: Kind | None) -> frozenset[Bucket]:
        return charges.of_order(
            self._names, kind, self._purse.limits, account=self._account, registered=domains.registered
        )

    def _everything(self) -> frozenset[Bucket]:
        failures = charges.of_failures(self._names, None, self._purse.limits, account=self._account)
        return self._costs(None) | failures


def _named(costs: frozenset[Bucket], detail: str) -> frozenset[Bucket]:
    """
    Return those of several whose owner a refusal names; all of them when it names none.
    """
    named = frozenset(cost for cost in costs if f'"{cost[1].split(" at ")[0]}"' in detail)
    return named or costs
