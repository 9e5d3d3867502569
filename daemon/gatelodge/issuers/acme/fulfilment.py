"""
Carries one order to its certificate: proves the names, waits for the CA, sends the CSR, checks what comes back.

What the next step is stands in `acme.steps`. Nothing is written down here: taken up after a crash, an order goes on from where
the CA says it is. Answers to challenges are taken away on every way out.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gatelodge.acme import csr, steps
from gatelodge.errors import IssuanceError, Problem
from gatelodge.issuers.acme import advice, received
from gatelodge.issuers.acme.choice import choose
from gatelodge.issuers.acme.passing import PASSING, passes
from gatelodge.model import HTTP_01, is_wildcard
from gatelodge.ports import Challenge, Issued
from gatelodge.together import entered, together

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeAlias

    from gatelodge.acme import messages
    from gatelodge.acme.chains import Chain
    from gatelodge.acme.client import Client
    from gatelodge.issuers.acme.record import Record
    from gatelodge.model import Name
    from gatelodge.ports import Clock, Solver
    from gatelodge.ports.advice import Adviser

    _Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

#: A CA that has not finished by then is left alone; the order is taken up again at the next try.
DEADLINE = 300.0

#: Seconds between two looks: small at first, since a CA nearby takes milliseconds, then growing. A Retry-After wins.
_FIRST_WAIT = 0.05
_GROWTH = 1.5
_LONGEST_WAIT = 5.0

#: How often a certificate is fetched at most, when what comes is none or another.
_LOOKS = 3

#: An authorization that failed, and an order before which no CSR is taken (RFC 8555 §7.1.6).
INVALID = "invalid"
_UNSIGNED = frozenset({"pending", "ready", INVALID})

#: Problems that say nothing about the order itself. After a failed look of our own the CA was told nothing, so the order stays.
#: Not so when some name server lacks a record (`propagation`): until it is mended, no CA should look, so the order is given up.
_BESIDE = PASSING | {
    "badAnswer", "accountDoesNotExist", "selfCheck",
    "dnsProvider", "dnsCredentials", "dnsZone", "dnsRecord", "dnsDelegation",
}  # fmt: skip


class OrderDead(IssuanceError):
    """
    An order from which no certificate can come any more. `failed` are the names whose authorization failed at the CA.
    """

    def __init__(self, problem: Problem, failed: frozenset[Name] = frozenset()) -> None:
        super().__init__(problem)
        self.failed = failed


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fulfilled:
    """
    What an order became: the certificate, the root its chain leads to, and whether that is the one that was asked for.
    """

    issued: Issued
    root: str
    preferred: bool


class Fulfilment:
    """
    The way of one order.
    """

    def __init__(
        self,
        *,
        ca: str,
        client: Client,
        solvers: Sequence[Solver],
        alias: Name | None,
        clock: Clock,
        progress: Callable[[str], None],
        preferred_chain: str | None = None,
        adviser: Adviser | None = None,
    ) -> None:
        """
        Args:
            solvers: of which the first that can prove a name is used.
            alias: where answers to dns-01 belong, when the configuration says so.
            adviser: looks at what a CA did not find by http-01.
            preferred_chain: the root that the certificate's chain should lead to, by its common name or organisation.
        """
        self._ca = ca
        self._alias = alias
        self._client = client
        self._solvers = solvers
        self._clock = clock
        self._progress = progress
        self._preferred_chain = preferred_chain
        self._adviser = adviser
        self._visible: dict[str, Challenge] = {}
        self._deadline = clock.monotonic() + DEADLINE
        self._wait = _FIRST_WAIT
        self._signing = False

    @property
    def signing(self) -> bool:
        """
        True once the CA may have signed a certificate.
        """
        return self._signing

    async def fulfil(self, order: messages.Order, record: Record) -> Fulfilled:
        """
        Return the certificate of an order.

        Raises:
            OrderDead: it cannot come; the order is of no use any more.
            IssuanceError, TransientError: not now; the order may still be good.
        """
        try:
            return await self._walk(order, record)
        except OrderDead:
            raise
        except IssuanceError as error:
            if error.problem.type in _BESIDE or passes(error.problem):
                raise
            raise OrderDead(error.problem) from error

    async def _walk(self, order: messages.Order, record: Record) -> Fulfilled:
        if order.names != frozenset(record.names):
            raise OrderDead(Problem(type="badAnswer", detail=f"{order.url} is an order for other names"))
        self._signing = order.status not in _UNSIGNED
        key = _private_key(record)
        seen: dict[str, messages.Authorization] = {}
        done = steps.Done()
        async with contextlib.AsyncExitStack() as published:
            while True:
                if order.status == "pending" and not seen:
                    seen = await self._see(order.authorizations)
                match steps.next_step(order, tuple(seen.values()), done):
                    case steps.Answer(authorizations=unproven):
                        await self._prove(unproven, published)
                        done = dataclasses.replace(done, answered=done.answered | {each.url for each in unproven})
                    case steps.Poll(authorizations=()):
                        await self._pause(order.retry_after, f"waiting for {self._ca} to sign")
                        order = await self._client.order(order.url)
                    case steps.Poll(authorizations=unproven):
                        asked = max((each.retry_after for each in unproven if each.retry_after), default=None)
                        await self._pause(asked, f"waiting for {self._ca} to check {_listed(unproven)}")
                        seen |= await self._see([each.url for each in unproven])
                    case steps.Finalize():
                        order, accepted = await self._finalize(order, csr.make(key, record.names))
                        done = dataclasses.replace(done, finalized=accepted, too_early=not accepted)
                    case steps.Download(url=url):
                        return await self._download(url, key, record)
                    case steps.Failed(problem=problem):
                        # Looked at while the answers are still there.
                        told = await advice.beside(problem, self._visible, self._adviser)
                        raise OrderDead(told, _failed(seen.values()))

    async def _see(self, urls: Sequence[str]) -> dict[str, messages.Authorization]:
        return {each.url: each for each in await self._client.authorizations(urls)}

    async def _prove(
        self, authorizations: Sequence[messages.Authorization], published: contextlib.AsyncExitStack
    ) -> None:
        """
        Make the answers to all challenges visible, then tell the CA of all.
        """
        self._progress(f"making the answers for {_listed(authorizations)} visible")
        began = self._clock.monotonic()
        chosen = [(each, *self._way(each, by)) for each, by in await self._choose(authorizations)]
        ways = []
        for solver in self._solvers:
            answers = [
                Challenge(
                    name=each.name,
                    token=token,
                    key_authorization=self._client.key_authorization(token),
                    alias=self._alias,
                )
                for each, way, token, by in chosen
                if by is solver
            ]
            if solver.type == HTTP_01:
                self._visible |= {each.name: each for each in answers}
            if answers:
                ways.append(solver.published(answers, progress=self._progress))
        await published.enter_async_context(entered(ways))
        # Name servers take their time, and the deadline is for the CA.
        self._deadline += self._clock.monotonic() - began
        # One that is being checked already was answered before a crash.
        await together(self._tell(each, way) for each, way, _, _ in chosen if way.status != "processing")

    async def _tell(self, authorization: messages.Authorization, way: messages.Challenge) -> None:
        try:
            await self._client.answer(way)
        except IssuanceError as error:
            if passes(error.problem):
                raise
            (now,) = await self._client.authorizations([authorization.url])
            open_still = any(each.url == way.url and each.status == "pending" for each in now.challenges)
            if now.status == "pending" and open_still:
                raise

    async def _choose(
        self, authorizations: Sequence[messages.Authorization]
    ) -> Sequence[tuple[messages.Authorization, Solver]]:
        """
        Choose a solver for each authorization, of those whose type the CA offers for it.
        """
        alike: dict[tuple[Solver, ...], list[messages.Authorization]] = {}
        for each in authorizations:
            fit = tuple(solver for solver in self._solvers if _open_way(each, solver) is not None)
            if not fit:
                raise OrderDead(self._unanswerable(each))
            alike.setdefault(fit, []).append(each)
        found: list[tuple[messages.Authorization, Solver]] = []
        for fit, group in alike.items():
            by_name = await choose([each.name for each in group], fit, alias=self._alias)
            found += [(each, by_name[each.name]) for each in group]
        return found

    def _way(self, authorization: messages.Authorization, solver: Solver) -> tuple[messages.Challenge, str, Solver]:
        way = _open_way(authorization, solver)
        if way is None or way.token is None:
            raise AssertionError("a solver was chosen for a type that is not offered")
        return way, way.token, solver

    def _unanswerable(self, authorization: messages.Authorization) -> Problem:
        offered = ", ".join(sorted(way.type for way in authorization.challenges)) or "nothing"
        ours = ", ".join(dict.fromkeys(solver.type for solver in self._solvers)) or "nothing"
        remedy = (
            'a wildcard needs dns-01: set `challenge` to a "dns:NAME", or name the hosts one by one instead'
            if is_wildcard(authorization.name)
            else "choose another CA or `challenge`, or take the name out"
        )
        return Problem(
            type="noSolver",
            detail=f"{authorization.name}: {self._ca} offers {offered}, and this gate can answer {ours}; {remedy}",
        )

    async def _finalize(self, order: messages.Order, request: bytes) -> tuple[messages.Order, bool]:
        """
        Send the CSR. Returns the order as it is then, and whether the CSR was accepted.
        """
        self._progress(f"sending the signing request to {self._ca}")
        self._wait = _FIRST_WAIT
        self._signing = True
        try:
            return await self._client.finalize(order, request), True
        except IssuanceError as error:
            if passes(error.problem):
                raise
            # Refused when it came twice, or when the server that got it had not heard of the order's being ready.
            await self._pause(error.problem.retry_after, f"waiting for {self._ca} to sign")
            now = await self._client.order(order.url)
            if now.status in {"processing", "valid"}:
                return now, True
            # While the order is pending, it came too early, whatever the server says of it; a CSR that is no good is refused again.
            if now.status != "pending" and error.problem.type != "orderNotReady":
                raise
            self._signing = False
            return now, False

    async def _pause(self, asked: dt.timedelta | None, what: str) -> None:
        """
        Wait before looking again.

        Raises:
            IssuanceError: `timeout`: there is no time left for it.
        """
        self._progress(what)
        left = self._deadline - self._clock.monotonic()
        if asked:
            wait = asked.total_seconds()
        else:
            wait = min(self._wait, max(left, 0))
            self._wait = min(self._wait * _GROWTH, _LONGEST_WAIT)
        if left <= 0 or wait > left:
            raise IssuanceError(
                Problem(
                    type="timeout",
                    detail=f"given up after {DEADLINE:.0f} s {what}; the order is kept and taken up at the next try",
                    retry_after=asked,
                )
            )
        await self._clock.sleep(wait)

    async def _download(self, url: str, key: _Key, record: Record) -> Fulfilled:
        """
        Fetch the certificate. What is not ours is asked for again before the order is given up: it may have come from something on
        the way, and to order anew costs a certificate.
        """
        self._progress(f"fetching the certificate from {self._ca}")
        for _ in range(_LOOKS - 1):
            with contextlib.suppress(OrderDead):
                return self._received(await self._fetch(url), key, record)
            self._wait = _LONGEST_WAIT
            await self._pause(None, f"waiting to fetch the certificate from {self._ca} again")
        return self._received(await self._fetch(url), key, record)

    async def _fetch(self, url: str) -> Chain:
        try:
            return await self._client.certificate(url, preferred=self._preferred_chain)
        except IssuanceError as error:
            if passes(error.problem) or error.problem.type == "accountDoesNotExist":
                raise
            # A valid order never expires, so one whose certificate is refused would be asked for ever.
            raise OrderDead(error.problem) from error

    def _received(self, sent: Chain, key: _Key, record: Record) -> Fulfilled:
        try:
            chain = received.check(
                sent.pem, names=record.names, public_key=key.public_key(), ca=self._ca, now=self._clock.now()
            )
        except IssuanceError as error:
            # The CA would send the same again.
            raise OrderDead(error.problem) from error
        issued = Issued(chain=chain, private_key=record.private_key)
        return Fulfilled(issued=issued, root=sent.root, preferred=sent.preferred)


def _failed(authorizations: Iterable[messages.Authorization]) -> frozenset[Name]:
    return frozenset(each.name for each in authorizations if each.status == INVALID)


def _open_way(authorization: messages.Authorization, solver: Solver) -> messages.Challenge | None:
    """
    Return the challenge of a solver's type that can still be answered.
    """
    return next(
        (
            way
            for way in authorization.challenges
            if way.type == solver.type and way.token is not None and way.status != "invalid"
        ),
        None,
    )


def _private_key(record: Record) -> _Key:
    try:
        # Written by us: the check of its numbers that is skipped blocks for 0.2 s with RSA-4096.
        key = serialization.load_pem_private_key(
            record.private_key.reveal().encode(), None, unsafe_skip_rsa_key_validation=True
        )
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise OrderDead(
            Problem(type="internal", detail="the key kept for the order cannot be read; a new order is made")
        )
    return key


def _listed(authorizations: Sequence[messages.Authorization]) -> str:
    first, *more = [each.name for each in authorizations]
    return f"{first} and {len(more)} more" if more else first
