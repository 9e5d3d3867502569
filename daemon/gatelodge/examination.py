"""
What the doctor looks with, put together for a configuration: with `wiring` and `gates`, what knows concrete classes.

Nothing is decided here but who is who. What it opens it closes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelodge.config.shape import STATE_DIRECTORY
from gatelodge.doctor.patient import Instruments, Once, Patient
from gatelodge.durable import in_thread
from gatelodge.gates import Gates
from gatelodge.model import AddressSource
from gatelodge.nginx import binary
from gatelodge.nginx.reaching import reloading
from gatelodge.runtime.events.log import Silence
from gatelodge.runtime.standing.report import report
from gatelodge.runtime.system import SystemClock, Web
from gatelodge.solvers.ledger import Ledger
from gatelodge.stores.documents import DirectoryDocuments
from gatelodge.wiring import open_house

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from gatelodge.config.shape import Config
    from gatelodge.model import Mistake
    from gatelodge.runtime.gate import Gate


@contextlib.asynccontextmanager
async def open_patient(
    config: Config | None,
    file: Path,
    *,
    mistakes: tuple[Mistake, ...],
    read: Callable[[Path], Config],
    ask_daemon: Callable[[], Mapping[str, Any] | None],
    offline: bool = False,
    write: bool = True,
) -> AsyncIterator[Patient]:
    """
    Put together what `doctor` looks at, and with what. Without a configuration that is what can be looked at all the same.

    Args:
        mistakes: all that is known to be wrong with the configuration.
        read: reads the configuration file.
        ask_daemon: asks the running daemon for its report, and blocks; None when none runs.
        offline: nothing of the internet is asked.
        write: DNS records may be added and deleted.

    Raises:
        ConfigError: a file that the configuration names cannot be used.
    """
    clock = SystemClock()
    if config is None:
        async with Web() as http:
            yield Patient(
                file=str(file),
                clock=clock,
                http=http,
                standing=Once(functools.partial(in_thread, ask_daemon)),
                mistakes=mistakes,
                state_directory=_named(file),
                offline=offline,
                write=write,
            )
        return
    events = Silence()
    ledger = Ledger(
        documents=DirectoryDocuments(directory=config.state_directory, guest=True), clock=clock, events=events
    )
    kept = DirectoryDocuments(directory=config.state_directory, events=events)
    async with Gates(clock=clock, documents=kept, ledger=ledger, events=events) as gates:
        gate = gates.make(config)
        yield Patient(
            file=str(file),
            clock=clock,
            http=gates.web(),
            standing=Once(functools.partial(_standing, config, file, read, ask_daemon)),
            mistakes=mistakes,
            config=config,
            state_directory=config.state_directory,
            desired=gate.desired,
            instruments=_instruments(gates, gate, clock, ledger),
            offline=offline,
            write=write,
        )


def _named(file: Path) -> str | None:
    """
    Return the state directory that a configuration names which cannot be used otherwise; None when it cannot even be read.
    """
    try:
        named = tomllib.loads(file.read_text(encoding="utf-8-sig")).get("state_directory", STATE_DIRECTORY)
    except (OSError, ValueError, RecursionError):
        return None
    return named if isinstance(named, str) and named.startswith("/") else None


def _instruments(gates: Gates, gate: Gate, clock: SystemClock, ledger: Ledger) -> Instruments:
    from gatelodge.dns.public_address import Finder  # noqa: PLC0415 - as in `gates`

    wanted = gate.desired
    settings, ddns = wanted.nginx, wanted.ddns
    reach = None
    if settings.reload is not None:
        reach = reloading(state_directory=wanted.state_directory, settings=settings, clock=clock)
    find = reach.find if reach is not None else functools.partial(binary.capabilities, settings)
    finder = Finder(http=gates.web())
    sources = {4: ddns.ipv4 if ddns else None, 6: ddns.ipv6 if ddns else None}
    authorities = {name: gates.authority(wanted, name) for name in wanted.asked}
    unwritable = _unwritable(wanted.state_directory)
    return Instruments(
        resolver=gates.resolver(wanted),
        providers=gate.providers,
        solvers=gates.by_dns(wanted, gate.providers),
        dates={name: authority.date for name, authority in authorities.items()},
        identities={name: authority.identities for name, authority in authorities.items()},
        capabilities=Once(functools.partial(in_thread, find)),
        public={
            family: Once(functools.partial(finder.find, source or AddressSource(), family))
            for family, source in sources.items()
        },
        entry=reach.entry() if reach is not None else None,
        ledger=None if unwritable else ledger,
        unwritable=unwritable or "",
    )


def _unwritable(state_directory: str) -> str | None:
    """
    Say why nothing can be written down in the state directory; None when it can be.
    """
    journal = Path(state_directory) / "journal"
    try:
        journal.stat()
    except FileNotFoundError:
        return f"{state_directory} is not there yet to write it down in"
    except OSError as error:
        return f"it could not be written down in {journal}: {error.strerror}"
    if not os.access(journal, os.W_OK | os.X_OK):
        return f"this user may not write it down in {journal}"
    return None


async def _standing(
    config: Config,
    file: Path,
    read: Callable[[Path], Config],
    ask_daemon: Callable[[], Mapping[str, Any] | None],
) -> Mapping[str, Any]:
    """
    Return how things stand: by the daemon, else as it is seen without one.
    """
    told = await in_thread(ask_daemon)
    if told is not None:
        return told
    async with open_house(config, file, read=read, looking=True) as house:
        return report(await house.reconciler.look(), house.clock.now())
