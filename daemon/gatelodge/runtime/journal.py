"""
Keeps what failed and when it is tried again: attempts, quarantined sites, orders in flight; and what CAs suggested.

Facts on disk, so that a restart neither forgets a wait nor repeats a refusal; a copy in memory, so that looking at them is free
and a full disk does not turn a wait into a loop. The daemon is the only writer (it holds the lock). Decides nothing: how long
to wait stands in `core.backoff`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any, TypeVar

from gatelodge.core import actions, backoff, moments
from gatelodge.core.observed import Attempt, InFlight
from gatelodge.core.tree import Quarantine
from gatelodge.errors import Problem, StateError, Subproblem
from gatelodge.model import AcmeIssuer
from gatelodge.runtime.renewals import Renewals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gatelodge.core.observed import Held
    from gatelodge.model import JsonObject, RevocationReason
    from gatelodge.ports import Clock, Documents, Events

_Fact = TypeVar("_Fact")

ATTEMPTS = "journal/attempts"
QUARANTINES = "journal/quarantines"
ORDERS = "journal/orders"
REVOKED = "journal/revoked"


class Journal:
    """
    The failures of one state directory.
    """

    def __init__(self, *, documents: Documents, clock: Clock, spread: Callable[[], float], events: Events) -> None:
        """
        Args:
            spread: returns a random number from 0 up to 1, for jitter.
        """
        self._documents = documents
        self._clock = clock
        self._spread = spread
        self._events = events
        self.attempts: dict[str, Attempt] = {}
        self.quarantines: dict[str, Quarantine] = {}
        self.in_flight: dict[str, InFlight] = {}
        self.revoked: dict[str, str] = {}
        self.renewals = Renewals(documents=documents, clock=clock, spread=spread, events=events)

    async def load(self) -> None:
        """
        Read everything from disk.

        Raises:
            StateError: it cannot be read.
        """
        self.attempts = _known(await self._documents.list(ATTEMPTS), _attempt)
        self.quarantines = _known(await self._documents.list(QUARANTINES), _quarantine)
        self.in_flight = _known(await self._documents.list(ORDERS), _in_flight)
        self.revoked = _known(await self._documents.list(REVOKED), lambda document: str(document["fingerprint"]))
        await self.renewals.load()

    async def look_for_order(self, certificate: str) -> None:
        """
        Learn whether an order for a certificate is in flight: issuers write those down and close them themselves.
        """
        try:
            document = await self._documents.get(ORDERS, certificate)
        except StateError:
            document = None  # whoever needs it says so; this must not hide what went wrong before
        found = _known({certificate: document} if document else {}, _in_flight)
        self.in_flight.pop(certificate, None)
        self.in_flight.update(found)

    async def close_order(self, certificate: str) -> None:
        """
        Forget an order that nobody will take up.
        """
        self.in_flight.pop(certificate, None)
        await self._remove(ORDERS, certificate)

    async def failed(self, tries: str, digest: str, problem: Problem) -> Attempt:
        """
        Count a failure and set the time of the next try.
        """
        now = self._clock.now()
        before = self.attempts.get(tries)
        in_a_row = before is not None and before.digest == digest and not backoff.outlived(before, now)
        failures = before.failures + 1 if before and in_a_row else 1
        wait = backoff.delay(tries, failures, problem, spread=self._spread())
        attempt = Attempt(tries=tries, digest=digest, failures=failures, problem=problem, at=now, retry_at=now + wait)
        self.attempts[tries] = attempt
        await self._write(ATTEMPTS, tries, dataclasses.asdict(attempt))
        return attempt

    async def succeeded(self, tries: str) -> None:
        """
        Forget the failures of something that worked.
        """
        if self.attempts.pop(tries, None) is not None:
            await self._remove(ATTEMPTS, tries)

    async def revoking(self, held: Held, reason: RevocationReason) -> None:
        """
        Remember that a certificate is revoked: before the CA is told, so that a crash in between is on the safe side.
        """
        self.revoked[held.name] = held.fingerprint
        document = {"fingerprint": held.fingerprint, "reason": str(reason), "at": self._clock.now()}
        await self._write(REVOKED, held.name, document)

    async def not_revoked(self, certificate: str) -> None:
        """
        Forget it: the CA refused, or another certificate is there.
        """
        if self.revoked.pop(certificate, None) is not None:
            await self._remove(REVOKED, certificate)

    async def nginx_started(self, tree: str) -> None:
        """
        Count a start of nginx on a tree, after which its other failures are over. It is a failure from the moment at which nginx ends before it has run for a while;
        written down now, since an end may come at any time, also together with the daemon's.
        """
        await self.worked(actions.NGINX)
        problem = Problem(
            type=backoff.NGINX_ENDED, detail="nginx ended by itself soon after its start; its log says why"
        )
        await self.failed(actions.NGINX_START, tree, problem)

    async def worked(self, key: str) -> None:
        """
        Forget the failures under all names of a key. That nginx ended by itself is not mended by what works now, only outlived.
        """
        for name, attempt in tuple(self.attempts.items()):
            if name.split("/")[0] == key and attempt.problem.type != backoff.NGINX_ENDED:
                await self.succeeded(name)

    async def forgive(self, *, kept: Iterable[str]) -> None:
        """
        Forget failures whose time to try again has come while nothing was to be done: what they were about was done otherwise, or is not
        wanted any more. Not those of nginx: it may be given a tree a little later, since reloads keep a distance.

        Args:
            kept: certificates whose orders are on the way, so that their failures still matter.
        """
        now, still = self._clock.now(), {actions.NGINX, *(actions.certificate_key(name) for name in kept)}
        for name, attempt in tuple(self.attempts.items()):
            if attempt.retry_at <= now and name.split("/")[0] not in still:
                await self.succeeded(name)

    def standing_attempts(self, *, nginx_runs: bool) -> Mapping[str, Attempt]:
        """
        Return the failures that matter now. A start of an nginx that runs is none, nor is one that was outlived.
        """
        now = self._clock.now()
        return {
            name: attempt
            for name, attempt in self.attempts.items()
            if attempt.problem.type != backoff.NGINX_ENDED or not (nginx_runs or backoff.outlived(attempt, now))
        }

    async def quarantine(self, site: str, *, digest: str, error: str, kept: str | None) -> Quarantine:
        """
        Keep a site back, longer each time its text is refused again.
        """
        now = self._clock.now()
        before = self.quarantines.get(site)
        again = before if before and before.digest == digest else None
        failures = again.failures + 1 if again else 1
        found = Quarantine(
            site=site,
            digest=digest,
            error=error,
            since=again.since if again else now,
            retry_at=now + backoff.wait(backoff.QUARANTINE, failures, spread=self._spread()),
            failures=failures,
            kept=kept,
        )
        self.quarantines[site] = found
        await self._write(QUARANTINES, site, dataclasses.asdict(found))
        return found

    async def release(self, site: str) -> None:
        """
        Let a site back in.
        """
        if self.quarantines.pop(site, None) is not None:
            await self._remove(QUARANTINES, site)

    def active_quarantines(self) -> Mapping[str, Quarantine]:
        """
        Return the sites that are kept back now. One whose time has come is tried again as it is.
        """
        now = self._clock.now()
        # One that begins ahead of now was dated by a clock that was wrong.
        return {site: found for site, found in self.quarantines.items() if found.since <= now < found.retry_at}

    async def _write(self, kind: str, key: str, document: JsonObject) -> None:
        try:
            await self._documents.put(kind, key, _plain(document))
        except StateError as error:
            self._events.emit("state.failed", level="error", error__detail=str(error))

    async def _remove(self, kind: str, key: str) -> None:
        try:
            await self._documents.delete(kind, key)
        except StateError as error:
            self._events.emit("state.failed", level="error", error__detail=str(error))


def _plain(value: Any) -> Any:
    """
    Return dataclass fields as JSON values: times as RFC 3339 text, durations as seconds.
    """
    match value:
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case dt.datetime():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case _:
            return value


def _known(documents: Mapping[str, JsonObject], read: Callable[[Mapping[str, Any]], _Fact]) -> dict[str, _Fact]:
    """
    Read documents, passing over those that make no sense: a lost wait is better than a daemon that does not start.
    """
    facts = {}
    for key, document in documents.items():
        with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError, OverflowError):
            facts[key] = read(document)
    return facts


def _attempt(document: Mapping[str, Any]) -> Attempt:
    problem = document["problem"]
    retry_after = problem.get("retry_after")
    return Attempt(
        tries=document["tries"],
        digest=document["digest"],
        failures=int(document["failures"]),
        problem=Problem(
            type=problem["type"],
            detail=problem["detail"],
            status=problem.get("status"),
            subproblems=tuple(Subproblem(**sub) for sub in problem.get("subproblems", ())),
            retry_after=None if retry_after is None else dt.timedelta(seconds=retry_after),
            instance=problem.get("instance"),
        ),
        at=moments.read(document["at"]),
        retry_at=moments.read(document["retry_at"]),
    )


def _quarantine(document: Mapping[str, Any]) -> Quarantine:
    return Quarantine(
        site=document["site"],
        digest=document["digest"],
        error=document["error"],
        since=moments.read(document["since"]),
        retry_at=moments.read(document["retry_at"]),
        failures=int(document["failures"]),
        kept=document.get("kept"),
    )


def _in_flight(document: Mapping[str, Any]) -> InFlight:
    return InFlight(
        certificate=document["certificate"],
        issuer=str(AcmeIssuer(ca=document["ca"])),
        digest=document["digest"],
        begun=int(document["begun"]),
        at=moments.read(document["at"]),
    )
