"""
The daemon killed at each request of an order, by the proxy before its CA, and started again: what that costs.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from tests.support.fault_proxy import FaultProxy, Kind, proxied
from tests.support.fault_table import NO_LIST, PEBBLE, REQUESTS, Cell, counted, named
from tests.support.house import House, opened
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

#: What a daemon asks for once at its start, or once in its life: it is started anew for these, and the last one comes first.
_ONCE = (Kind.NEW_ACCOUNT, Kind.DIRECTORY, Kind.NEW_NONCE)

#: Heads of the columns, by whether the CA had answered.
HEADS = {False: "kill -9", True: "kill done"}

#: A shared machine may take this long to start a daemon and nginx.
_SECONDS = 60.0


async def kills(folder: Path, *, late: bool) -> dict[str, Cell]:
    """
    Kill one daemon at each request of an order in turn, each time of an order for another site, and start it again.

    Args:
        late: once the CA has answered, and before the daemon hears of it; else before the CA hears of the request.
    """
    found: dict[str, Cell] = {}
    async with opened(folder, environment=PEBBLE) as house, proxied(house.ca, folder) as proxy:
        house.ca = dataclasses.replace(house.ca, directory=proxy.directory, root=proxy.root)
        sites: list[str] = []
        for request in sorted(REQUESTS, key=_place):
            if REQUESTS[request][0] is Kind.REVOKE:
                continue
            sites.append(f"{named(request)}.example.test")
            house.write(*sites)
            found[request] = await _killed(house, proxy, request, sites[-1], late=late)
    return {request: found[request] for request in REQUESTS if request in found}


async def _killed(house: House, proxy: FaultProxy, request: str, site: str, *, late: bool) -> Cell:
    kind, nth = REQUESTS[request]
    orders, certificates = counted(house.folder, proxy)
    proxy.hides_orders = request == NO_LIST
    if kind in _ONCE and house.daemon is not None:
        await house.kill()
    proxy.call(kind, nth, house.kill, late=late)
    if house.daemon is None or house.daemon.returncode is not None:
        await house.start()
    else:
        house.reload()
    try:
        async with asyncio.timeout(_SECONDS):
            assert house.daemon is not None
            await house.daemon.wait()
    except TimeoutError:
        raise AssertionError(f"it never came to {request}: {house.said()}") from None
    await house.start()
    try:
        await until(lambda: any(entry["certificate"] == site for entry in house.events("certificate.issued")), seconds=_SECONDS)  # fmt: skip
    except TimeoutError:
        raise AssertionError(f"{site} got no certificate: {house.said()}") from None
    orders_now, certificates_now = counted(house.folder, proxy)
    return Cell(
        played=proxy.played,
        came=True,
        orders=orders_now - orders,
        certificates=certificates_now - certificates,
        tries=1,
        waited=dt.timedelta(0),
    )


def _place(request: str) -> int:
    kind = REQUESTS[request][0]
    return _ONCE.index(kind) if kind in _ONCE else len(_ONCE)
