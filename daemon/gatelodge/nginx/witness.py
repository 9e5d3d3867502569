"""
Decides whether nginx serves the tree it was given, by asking it until it does or time is over. It changes nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
from typing import TYPE_CHECKING

from gatelodge.durable import in_thread
from gatelodge.errors import NginxRefused, NginxUnproven
from gatelodge.nginx.blame import find_streams
from gatelodge.nginx.proof import ask_generation, find_unserved

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from gatelodge.core.tree import Rendered, Served
    from gatelodge.model import Listener
    from gatelodge.ports import Clock

#: How long nginx may take to serve a new tree: a reload of 1 000 TLS sites takes a second on a fast machine, ten on a small one.
_SECONDS = 10
_SECONDS_PER_CERTIFICATE = 0.05

_POLL_SECONDS = 0.02

#: How many certificates that are not shown an error names.
_NAMED = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """
    One taking up of a tree, watched. `refused` returns what nginx said against it since it was told, `ended` says that it is gone and
    where to look; both are nothing for an nginx that only its visitors see. `address` is where listeners without an address are
    reached.
    """

    address: str
    clock: Clock
    refused: Callable[[], str] = lambda: ""
    ended: Callable[[], str] = lambda: ""

    async def prove(self, number: int, *, proof: str, served: Collection[Served], proxied: bool = False) -> None:
        """
        Return once nginx says that it serves this generation, and shows all these certificates.

        Args:
            proof: the URL origin where it says so; with none, that is not asked.
            proxied: connections there begin with a PROXY header.

        Raises:
            NginxRefused: it logged why it does not take the tree.
            NginxUnproven: it did not come to serve it in time.
        """
        deadline = self.clock.monotonic() + _SECONDS + _SECONDS_PER_CERTIFICATE * len(served)
        while proof and await in_thread(functools.partial(ask_generation, proof, proxied=proxied)) != number:
            await self._go_on(deadline, f"{proof} does not answer with generation {number}")
        missing: dict[Served, str] = {}
        while served:
            answers = await self._unserved(served, deadline)
            missing = {each: problem or missing.get(each, "not asked in time") for each, problem in answers.items()}
            if not missing:
                return
            told = [f"{_place(each)}: {problem}" for each, problem in missing.items()]
            problem = "; ".join([*told[:_NAMED], *(["…"] if len(told) > _NAMED else [])])
            await self._go_on(deadline, problem, frozenset(each.listener for each in missing))
            # Only these again: an old worker accepts for a moment after the new ones do.
            served = tuple(missing)

    async def _unserved(self, served: Collection[Served], deadline: float) -> dict[Served, str]:
        stop = threading.Event()
        return await in_thread(
            functools.partial(
                find_unserved,
                served,
                address=self.address,
                too_late=lambda: stop.is_set() or self.clock.monotonic() > deadline,
            ),
            stop=stop,
        )

    async def _go_on(self, deadline: float, problem: str, unserved: frozenset[Listener] = frozenset()) -> None:
        """
        Wait a little, unless nginx has refused, has ended, or time is over.
        """
        if refused := await in_thread(self.refused):
            raise NginxRefused(refused)
        if ended := await in_thread(self.ended):
            raise NginxUnproven(ended)
        if self.clock.monotonic() > deadline:
            raise NginxUnproven(problem, unserved)
        await self.clock.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def blaming_streams(rendered: Rendered, *, hint: str = "") -> Iterator[None]:
    """
    Refuse streams that are all that is not served as it should be, so that they are left out and nobody else waits for them.

    Args:
        hint: what may be wrong, and what to do.

    Raises:
        NginxRefused: these streams are to be left out.
    """
    try:
        yield
    except NginxUnproven as error:
        guilty = find_streams(error.unserved, rendered)
        if not guilty:
            raise
        raise NginxRefused(f"{error.what}{hint}", guilty) from error


def _place(served: Served) -> str:
    return f"{served.certificate} on {served.listener}" if served.certificate else f"{served.listener}"
