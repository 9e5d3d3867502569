"""
What is looked at, and with what: the configuration as far as it can be read, and ports and adapters that `wiring` gives.

It holds handles and decides nothing. What several checks ask for is asked once.
"""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gatelodge.errors import GatelodgeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gatelodge.config.shape import Config
    from gatelodge.core.desired import Desired
    from gatelodge.core.tree import Capabilities
    from gatelodge.model import Mistake
    from gatelodge.ports import Clock, DnsProvider, Http, Resolver
    from gatelodge.solvers.dns01 import Dns01
    from gatelodge.solvers.ledger import Ledger

_Result = TypeVar("_Result")


class Once(Generic[_Result]):
    """
    Asks once for all who want to know. A failure of ours is remembered as well as an answer; one who is cancelled leaves it to the next.
    """

    def __init__(self, ask: Callable[[], Awaitable[_Result]]) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()
        self._answer: list[_Result] = []
        self._failure: GatelodgeError | OSError | None = None

    async def __call__(self) -> _Result:
        """
        Return the answer, or raise why there is none.
        """
        async with self._turn:
            if self._failure is not None:
                raise self._failure
            if not self._answer:
                try:
                    self._answer.append(await self._ask())
                except (GatelodgeError, OSError) as error:
                    self._failure = error
                    raise
        return self._answer[0]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """
    What a valid configuration makes to look with.

    `providers` and `solvers` are by the NAME of a `[dns.NAME]`; `dates` and `identities` ask each CA in use for its time, and for the names
    by which CAA records know it. `capabilities` says what the nginx can do. `public` finds this machine's public address of a family. `entry` is what somebody else's nginx must include, None where
    nginx is ours. `ledger` is None where records cannot be written down, for the reason in `unwritable`.
    """

    resolver: Resolver
    providers: Mapping[str, DnsProvider]
    solvers: Mapping[str, Dns01]
    dates: Mapping[str, Callable[[], Awaitable[Any]]]
    identities: Mapping[str, Callable[[], Awaitable[frozenset[str]]]]
    capabilities: Once[Capabilities]
    public: Mapping[int, Once[str]]
    entry: str | None = None
    ledger: Ledger | None = None
    unwritable: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """
    Everything that is looked at. `config`, `desired` and `instruments` are None when the configuration `file` cannot be read; `mistakes` are all of its.

    `standing` is the report of `status`, from the daemon, or without one from what can be seen; None when there is neither.
    `state_directory` is the one that it names, or would without being told, as far as that is known. `root` is where the files of this machine are, `proc` where the kernel tells of processes. Offline, nothing beyond this machine and
    its upstreams is asked; without `write`, no DNS record is added.
    """

    file: str
    clock: Clock
    http: Http
    standing: Once[Mapping[str, Any] | None]
    mistakes: tuple[Mistake, ...] = ()
    config: Config | None = None
    desired: Desired | None = None
    instruments: Instruments | None = None
    state_directory: str | None = None
    root: Path = Path("/")
    offline: bool = False
    write: bool = True

    @property
    def proc(self) -> Path:
        """
        Where the kernel tells of processes.
        """
        return self.root / "proc"

    async def report(self) -> Mapping[str, Any]:
        """
        Return the report of `status`; only for checks that need a configuration.
        """
        found = await self.standing()
        if found is None:
            raise AssertionError("as for `wanted`")
        return found

    @property
    def wanted(self) -> Desired:
        """
        What the configuration asks for; only for checks that need one.
        """
        if self.desired is None:
            raise AssertionError("a check that needs a configuration is not run without one")
        return self.desired

    @property
    def tools(self) -> Instruments:
        """
        What there is to look with; only for checks that need a configuration.
        """
        if self.instruments is None:
            raise AssertionError("as for `wanted`")
        return self.instruments
