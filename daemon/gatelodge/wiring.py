"""
Puts the daemon together for a configuration: with `gates`, what knows concrete classes.

Nothing is decided here but who is who. What it opens it closes, in the opposite order.
"""

from __future__ import annotations

import contextlib
import grp
import math
import os
import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.errors import ConfigError
from gatelodge.exports.exporter import FileExporter
from gatelodge.gates import Gates
from gatelodge.issuers import selfsigned
from gatelodge.issuers.acme import record as records
from gatelodge.issuers.keys import NewKeys
from gatelodge.issuers.local import Local
from gatelodge.model import ByHelper, ByMailbox
from gatelodge.nginx import binary
from gatelodge.nginx.helper import Helper
from gatelodge.nginx.reaching import group_number
from gatelodge.nginx.tree import Trees
from gatelodge.notifiers.by_apprise import ByApprise
from gatelodge.runtime.events import files as event_files
from gatelodge.runtime.events import log as event_log
from gatelodge.runtime.house import House
from gatelodge.runtime.journal import Journal
from gatelodge.runtime.outbox.followers import Followers
from gatelodge.runtime.reconcile import Reconciler
from gatelodge.runtime.standing.measured import MeasuredEvents
from gatelodge.runtime.standing.measures import Measures
from gatelodge.runtime.system import SystemClock
from gatelodge.runtime.timekeeper import Timekeeper
from gatelodge.solvers import webroot_files
from gatelodge.solvers.ledger import Ledger
from gatelodge.stores.directory import DirectoryStore
from gatelodge.stores.documents import DirectoryDocuments
from gatelodge.stores.lock import Lock
from gatelodge.stores.state import prepare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from gatelodge.config.shape import Config
    from gatelodge.model import Notify
    from gatelodge.ports import Events, Notifier
    from gatelodge.runtime.gate import Gate


@contextlib.contextmanager
def claim(config: Config, *, verb: str) -> Iterator[tuple[str, ...]]:
    """
    Hold the state directory, made ready, inside the context. Yields notes on what had to be corrected there.

    Raises:
        StateLocked: another process holds it.
        StateError: it cannot be used.
    """
    _mend_umask()
    with Lock(directory=config.state_directory, clock=SystemClock(), command=f"gatelodge {verb}"):
        _, group = binary.worker(config.nginx.user) if config.nginx.reload is None else (None, None)
        notes = prepare(
            config.state_directory,
            workers_group=grp.getgrnam(group).gr_gid if group else group_number(config.nginx),
            nginx_group=group_number(config.nginx),
            nginx_writes=isinstance(config.nginx.reload, ByMailbox),
        )
        _sweep_tokens(config.state_directory)
        yield notes


def _mend_umask() -> None:
    """
    Let nobody else write what is made from now on, by us and by what we start, nginx among it, and close nothing to ourselves. Who inherited
    a umask that closes more to others keeps it.
    """
    inherited = os.umask(0o077)
    os.umask((inherited | 0o022) & 0o077)


def _sweep_tokens(state_directory: str) -> None:
    """
    Remove the tokens that a killed process left in the state directory's own webroot, once no order of before can want them any more: of
    one that is still open the CA may be looking for them right now.
    """
    if not [*Path(state_directory, records.KIND).glob("*.json")]:
        webroot_files.sweep(f"{state_directory}/webroot", before=math.inf)


@contextlib.asynccontextmanager
async def open_house(
    config: Config, file: Path, *, read: Callable[[Path], Config], notes: tuple[str, ...] = (), looking: bool = False
) -> AsyncIterator[House]:
    """
    Put the daemon together for a configuration.

    Args:
        read: reads the configuration file again when it changed.
        notes: what `claim` had to correct.
        looking: change nothing, not even the event log; the state directory need not be claimed.

    Raises:
        StateError: the state directory cannot be read.
        ConfigError: a file that the configuration names cannot be used.
    """
    clock = SystemClock()
    directory = config.state_directory
    measures = Measures()
    written = None if looking else event_log.EventLog(directory=directory, clock=clock, settings=config.log)
    log: Events = MeasuredEvents(written, measures) if written is not None else event_log.Silence()
    if not looking:
        event_log.capture_libraries(log)
    for note in notes:
        log.emit("state.warning", level="warning", error__detail=note)
    documents = DirectoryDocuments(directory=directory, events=log)
    journal = Journal(documents=documents, clock=clock, spread=random.random, events=log)
    await journal.load()
    ledger = Ledger(documents=documents, clock=clock, events=log)
    await ledger.load()
    last = event_files.newest(directory)
    exporter = FileExporter(documents=documents, clock=clock, state_directory=directory)
    async with Gates(
        clock=clock, documents=documents, ledger=ledger, events=log, exporter=exporter, measures=measures
    ) as gates:
        await gates.budgets.load()
        try:
            gate = gates.make(config)
        except ConfigError as error:
            raise ConfigError(error.mistakes, file=str(file)) from error
        if gate.addresses is not None:
            await gate.addresses.load()

        def make_gate(config: Config) -> Gate:
            made = gates.make(config)
            if written is not None:
                written.use(config.log)
            return made

        reconciler = Reconciler(
            gate=gate,
            store=DirectoryStore(
                directory=f"{directory}/certificates", clock=clock, group=group_number(config.nginx), read_only=looking
            ),
            journal=journal,
            ledger=ledger,
            timekeeper=Timekeeper(clock=clock, events=log, newest_event=event_files.event_time(last) if last else None),
            clock=clock,
            events=log,
            placeholder=selfsigned.make,
        )
        yield House(
            config=config,
            config_file=str(file),
            clock=clock,
            events=log,
            reconciler=reconciler,
            journal=journal,
            measures=measures,
            read=lambda: read(file),
            make_gate=make_gate,
            followers=Followers(
                directory=directory,
                documents=documents,
                clock=clock,
                events=log,
                spread=random.random,
                notifier=notifier,
                host=host_name(),
            ),
        )


def notifier(target: Notify) -> Notifier:
    """
    Return what sends messages to a target.
    """
    return ByApprise(url=target.url)


def host_name() -> str:
    """
    Return what messages call this machine.
    """
    return socket.gethostname().partition(".")[0] or "gatelodge"


async def local_root(config: Config, *, der: bool) -> bytes:
    """
    Return the local CA's root certificate, made now when there is none yet.

    Raises:
        StateError: it is damaged, or cannot be made.
    """
    local = Local(
        directory=f"{config.state_directory}/ca", clock=SystemClock(), keys=NewKeys(), subject=config.ca_subject
    )
    held = contextlib.nullcontext() if await local.exists() else claim(config, verb="ca export")
    with held:
        return await local.root_der() if der else (await local.root_pem()).encode()


def current_sites(config: Config) -> dict[str, str]:
    """
    Return the nginx text of each site and stream, by the name of its part, in the current tree.
    """
    trees = Trees(Path(config.state_directory) / "nginx")
    number = _current(config, trees)
    return trees.site_texts(number) if number is not None else {}


def _current(config: Config, trees: Trees) -> int | None:
    if isinstance(config.nginx.reload, ByHelper):
        folder = Path(config.state_directory) / "nginx"
        return Helper(folder=folder, state_directory=config.state_directory, clock=SystemClock()).current()
    return trees.current()
