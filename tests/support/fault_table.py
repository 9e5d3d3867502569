"""
The table of what each fault at each request of an order costs: real orders at a real pebble, behind a proxy that plays the fault.

Waits are those of the daemon (`core.backoff`), on a clock of which they cost nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import re
from typing import TYPE_CHECKING

from cryptography import x509
from tests.support.fault_proxy import Fault, FaultProxy, Kind, proxied
from tests.support.pebble_world import PebbleWorld, quiet, spec
from tests.support.quick_clock import QuickClock

from gatelodge.core import backoff
from gatelodge.errors import IssuanceError
from gatelodge.runtime.system import SystemClock, Web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from gatelodge.demo.pebble import Pebble
    from gatelodge.ports import HttpResponse, Issued

#: pebble without its own unkindness, so that one fault is one fault; it can deadlock where it looks for proofs to use again.
PEBBLE = {"PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}

#: The row of an order that nobody lists.
NO_LIST = "newOrder, no list"

#: The rows: each request of an order, in its order, by kind and which of that kind it is; and what revokes the certificate.
REQUESTS: Mapping[str, tuple[Kind, int]] = {
    "directory": (Kind.DIRECTORY, 1),
    "newNonce": (Kind.NEW_NONCE, 1),
    "newAccount": (Kind.NEW_ACCOUNT, 1),
    "newOrder": (Kind.NEW_ORDER, 1),
    NO_LIST: (Kind.NEW_ORDER, 1),
    "authorization": (Kind.AUTHORIZATION, 1),
    "challenge": (Kind.CHALLENGE, 1),
    "authorization poll": (Kind.AUTHORIZATION, 2),
    "finalize": (Kind.FINALIZE, 1),
    "order poll": (Kind.ORDER, 1),
    "certificate": (Kind.CERTIFICATE, 1),
    "revoke": (Kind.REVOKE, 1),
}

#: Faults that need a certificate, a signature or a body.
_ONLY = {
    Fault.OTHER_KEY: lambda kind: kind is Kind.CERTIFICATE,
    Fault.OTHER_NAMES: lambda kind: kind is Kind.CERTIFICATE,
    Fault.BAD_NONCE: lambda kind: kind not in {Kind.DIRECTORY, Kind.NEW_NONCE},
    Fault.TRUNCATED: lambda kind: kind not in {Kind.NEW_NONCE, Kind.REVOKE},
}

#: Faults after which nobody knows of an order that was made.
UNHEARD = frozenset({Fault.LOST, Fault.HANG, Fault.LATE_ERROR, Fault.LATE_PAGE, Fault.TRUNCATED})

#: Seconds after which an answer that never comes is given up, in place of 30.
_PATIENCE = 2.0

#: Tries after which a certificate does not come any more.
_MOST_TRIES = 6


class HurriedClock(QuickClock):
    """
    Implements `ports.Clock`. Who sleeps moves time on, and leaves a real server a moment for its work.
    """

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await asyncio.sleep(min(seconds / 10, 0.02))


class Impatient:
    """
    Implements `ports.Http`. Waits less long for an answer.
    """

    def __init__(self, http: Web, seconds: float) -> None:
        self._http = http
        self._seconds = seconds

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        return await self._http.request(method, url, headers=headers, body=body, timeout=min(timeout, self._seconds))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """
    What came of one fault at one request: whether it was met, the certificate came (and was revoked, where that is the row), what
    that cost, and how long the daemon would have waited between its tries.
    """

    played: bool
    came: bool
    orders: int
    certificates: int
    tries: int
    waited: dt.timedelta

    @property
    def keeps_the_rule(self) -> bool:
        """
        True when it cost an order more at most, and no certificate more.
        """
        return self.played and self.came and self.orders <= 2 and self.certificates == 1

    def __str__(self) -> str:
        if not self.played:
            return "not met"
        seconds = round(self.waited.total_seconds())
        how = f" +{seconds // 60}m" if self.tries > 1 else ""
        return f"{self.orders}/{self.certificates}{how}{'' if self.came else ' LOST'}"


def named(text: str) -> str:
    """
    Return what a host can be called after a row or a column.
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower())


def plays(request: str, fault: Fault) -> bool:
    """
    Tell whether a fault can befall a request.
    """
    fits = _ONLY.get(fault)
    return fits is None or fits(REQUESTS[request][0])


async def row(world: PebbleWorld, folder: Path, request: str) -> dict[Fault, Cell]:
    """
    Play all faults at one request, each for a certificate and an account of its own.
    """
    async with asyncio.TaskGroup() as group:
        tasks = {
            fault: group.create_task(cell(world, folder, request, fault)) for fault in Fault if plays(request, fault)
        }
    return {fault: task.result() for fault, task in tasks.items()}


async def cell(world: PebbleWorld, folder: Path, request: str, fault: Fault) -> Cell:
    """
    Play one fault at one request.
    """
    kind, nth = REQUESTS[request]
    patience = _PATIENCE if fault is Fault.HANG else 30
    async with proxied(world.ca, folder) as proxy, Web(root=proxy.root) as http:
        own, clock = client_side(world, proxy, http)
        acme = own.acme(Impatient(http, patience))
        proxy.hides_orders = request == NO_LIST
        name = f"{named(request)}-{named(fault)}.example"
        held: list[Issued] = []

        async def issue() -> None:
            async with acme.issue(spec(name), progress=quiet) as issued:
                held.append(issued)

        async def revoke() -> None:
            await acme.revoke(held[0], reason=None, progress=quiet)

        if kind is not Kind.REVOKE:
            proxy.arm(kind, nth, fault)
        tries, waited = await _until_done(issue, clock)
        came = bool(held) and await own.verified(held[0], name)
        if kind is Kind.REVOKE and held:
            proxy.arm(kind, nth, fault)
            tries, waited = await _until_done(revoke, clock)
            came = came and await _is_revoked(world, held[0])
        orders, certificates = counted(folder, proxy)
        return Cell(
            played=proxy.played, came=came, orders=orders, certificates=certificates, tries=tries, waited=waited
        )


def counted(folder: Path, proxy: FaultProxy) -> tuple[int, int]:
    """
    Return how many orders pebble made through a proxy, and how many certificates it made of them, as its log says.
    """
    log = (folder / "pebble.log").read_text()
    return (
        sum(f'Added order "{each}"' in log for each in proxy.orders),
        sum(log.count(f" for order {each}\n") for each in proxy.orders),
    )


def client_side(world: PebbleWorld, proxy: FaultProxy, http: Web) -> tuple[PebbleWorld, HurriedClock]:
    """
    Return a world whose issuers ask a proxy, without patience for our own waits, and its clock.
    """
    ca: Pebble = dataclasses.replace(world.ca, directory=proxy.directory, root=proxy.root)
    own = PebbleWorld(ca, http, world.webroot)
    clock = HurriedClock(SystemClock().now())
    own.clock = clock  # type: ignore[assignment]
    return own, clock


async def _until_done(do: Callable[[], Awaitable[None]], clock: HurriedClock) -> tuple[int, dt.timedelta]:
    """
    Do something, and again after the daemon's waits. Returns how many tries that took, and the waits.
    """
    waited = dt.timedelta(0)
    for tries in range(1, _MOST_TRIES + 1):
        try:
            await do()
        except IssuanceError as error:
            wait = backoff.delay("certificate", tries, error.problem, spread=0)
            waited += wait
            await clock.sleep(wait.total_seconds())
        else:
            return tries, waited
    return _MOST_TRIES, waited


async def _is_revoked(world: PebbleWorld, issued: Issued) -> bool:
    serial = x509.load_pem_x509_certificates(issued.chain.encode())[0].serial_number
    answer = await world.http.request("GET", f"{world.ca.management}/cert-status-by-serial/{serial:x}")
    return b'"Revoked"' in answer.body
