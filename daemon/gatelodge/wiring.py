"""
The only module that knows concrete classes: it puts them together for a configuration.

Nothing is decided here but who is who. What it opens it closes, in the opposite order.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import grp
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from gatelodge.core.desired import desired
from gatelodge.errors import StateError
from gatelodge.issuers import selfsigned
from gatelodge.issuers.adopted import Adoptions
from gatelodge.issuers.keys import NewKeys
from gatelodge.issuers.local import Local
from gatelodge.model import DNS_PREFIX, HTTP_01, AcmeIssuer, ByCommands, ByHelper, ByMailbox, LocalIssuer
from gatelodge.nginx import binary
from gatelodge.nginx.commands import Commands
from gatelodge.nginx.external import External
from gatelodge.nginx.helper import Helper
from gatelodge.nginx.mailbox import Mailbox
from gatelodge.nginx.managed import Managed
from gatelodge.nginx.render import Renderer
from gatelodge.nginx.tree import Trees
from gatelodge.runtime import events as event_log
from gatelodge.runtime.gate import Gate
from gatelodge.runtime.house import House
from gatelodge.runtime.journal import Journal
from gatelodge.runtime.reconcile import Reconciler
from gatelodge.runtime.system import SystemClock, Web
from gatelodge.runtime.timekeeper import Timekeeper
from gatelodge.solvers.ledger import Ledger
from gatelodge.stores.directory import DirectoryStore
from gatelodge.stores.documents import DirectoryDocuments
from gatelodge.stores.lock import Lock
from gatelodge.stores.state import prepare

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from gatelodge.config.shape import Config
    from gatelodge.core.desired import Desired
    from gatelodge.issuers.acme.issuer import Acme
    from gatelodge.model import CertificateAuthority, DnsSettings, NginxSettings
    from gatelodge.nginx.reloading import Reloading
    from gatelodge.ports import (
        AddressProvider,
        Clock,
        DnsProvider,
        Documents,
        Events,
        Issuer,
        Nginx,
        Resolver,
        Solver,
    )
    from gatelodge.runtime.addresses import Addresses


_Part = TypeVar("_Part")


@contextlib.contextmanager
def claim(config: Config, *, verb: str) -> Iterator[tuple[str, ...]]:
    """
    Hold the state directory, made ready, inside the context. Yields notes on what had to be corrected there.

    Raises:
        StateLocked: another process holds it.
        StateError: it cannot be used.
    """
    with Lock(directory=config.state_directory, clock=SystemClock(), command=f"gatelodge {verb}"):
        _, group = binary.worker(config.nginx.user) if config.nginx.reload is None else (None, None)
        yield prepare(
            config.state_directory,
            workers_group=grp.getgrnam(group).gr_gid if group else _nginx_group(config),
            nginx_group=_nginx_group(config),
            nginx_writes=isinstance(config.nginx.reload, ByMailbox),
        )


def _nginx_group(config: Config) -> int | None:
    """
    Return the number of the group that may read certificates and trees.

    Raises:
        StateError: there is no such group.
    """
    name = config.nginx.group
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise StateError(
            f"[nginx] group {name}", "there is no such group on this machine", "make it (groupadd), or name another"
        ) from None


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
    log: Events = event_log.Silence()
    if not looking:
        log = event_log.EventLog(directory=directory, clock=clock)
        event_log.capture_libraries(log)
    for note in notes:
        log.emit("state.warning", level="warning", error__detail=note)
    documents = DirectoryDocuments(directory=directory, events=log)
    journal = Journal(documents=documents, clock=clock, spread=random.random, events=log)
    await journal.load()
    ledger = Ledger(documents=documents, clock=clock, events=log)
    await ledger.load()
    last = event_log.newest(directory)
    async with _Gates(clock=clock, documents=documents, ledger=ledger, events=log) as gates:
        gate = gates.make(config)
        if gate.addresses is not None:
            await gate.addresses.load()
        reconciler = Reconciler(
            gate=gate,
            store=DirectoryStore(
                directory=f"{directory}/certificates", clock=clock, group=_nginx_group(config), read_only=looking
            ),
            journal=journal,
            ledger=ledger,
            timekeeper=Timekeeper(clock=clock, events=log, newest_event=event_log.event_time(last) if last else None),
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
            read=lambda: read(file),
            make_gate=gates.make,
        )


async def local_root(config: Config, *, der: bool) -> bytes:
    """
    Return the local CA's root certificate, made now when there is none yet.

    Raises:
        StateError: it is damaged, or cannot be made.
    """
    local = Local(directory=f"{config.state_directory}/ca", clock=SystemClock(), keys=NewKeys())
    held = contextlib.nullcontext() if await local.exists() else claim(config, verb="ca export")
    with held:
        return await local.root_der() if der else (await local.root_pem()).encode()


def current_sites(config: Config) -> dict[str, str]:
    """
    Return the nginx text of each site, by file name, in the current tree.
    """
    trees = Trees(Path(config.state_directory) / "nginx")
    number = _current(config, trees)
    return trees.site_texts(number) if number is not None else {}


def _current(config: Config, trees: Trees) -> int | None:
    if isinstance(config.nginx.reload, ByHelper):
        folder = Path(config.state_directory) / "nginx"
        return Helper(folder=folder, state_directory=config.state_directory, clock=SystemClock()).current()
    return trees.current()


def external(*, state_directory: str, settings: NginxSettings, clock: Clock) -> External:
    """
    Put together what speaks to somebody else's nginx.
    """
    folder = Path(state_directory) / "nginx"
    group = grp.getgrnam(settings.group).gr_gid if settings.group else None
    trees = Trees(folder, group=group)
    reloading: Reloading
    if isinstance(settings.reload, ByCommands):
        reloading = Commands(trees=trees, settings=settings, by=settings.reload, ours=str(folder), clock=clock)
    elif isinstance(settings.reload, ByHelper):
        reloading = Helper(folder=folder, state_directory=state_directory, clock=clock)
    else:
        reloading = Mailbox(folder=folder, trees=trees, state_directory=state_directory, group=group, clock=clock)
    return External(trees=trees, reloading=reloading, settings=settings, clock=clock)


class _Gates:
    """
    Makes the parts that depend on the configuration. A part stays the same one while nothing about it changed: its locks, counts
    and caches hold for jobs that still run. HTTP clients are closed at the end, so that work begun under an older configuration
    can finish.
    """

    def __init__(self, *, clock: SystemClock, documents: Documents, ledger: Ledger, events: Events) -> None:
        self._clock = clock
        self._documents = documents
        self._ledger = ledger
        self._events = events
        self._keys = NewKeys()
        self._webs: dict[str | None, Web] = {}
        self._kept: dict[str, tuple[object, Any]] = {}
        self._adoption = Adoptions()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for web in self._webs.values():
            await web.close()

    def make(self, config: Config) -> Gate:
        """
        Return the parts for a configuration.

        Raises:
            ConfigError: a file that it names cannot be used.
        """
        wanted = desired(config)
        local = Local(directory=f"{config.state_directory}/ca", clock=self._clock, keys=self._keys)
        issuers: dict[str, Issuer] = {str(LocalIssuer()): local}
        dates: list[Callable[[], Awaitable[dt.datetime]]] = []
        providers = {name: self._provider(settings, wanted) for name, settings in wanted.dns.items()}
        for name in sorted(
            {spec.issuer.ca for spec in wanted.certificates.values() if isinstance(spec.issuer, AcmeIssuer)}
        ):
            acme = self._acme(wanted, wanted.authorities[name], config.acme.email if config.acme else None, providers)
            issuers[str(AcmeIssuer(ca=name))] = acme
            dates.append(acme.date)
        return Gate(
            desired=wanted,
            nginx=self._nginx(wanted),
            issuers=issuers,
            render=Renderer(),
            dates=tuple(dates),
            providers=providers,
            addresses=self._addresses(wanted, providers),
            adoption=self._adoption,
        )

    def _nginx(self, wanted: Desired) -> Nginx:
        settings = wanted.nginx
        if settings.reload is None:
            return Managed(state_directory=wanted.state_directory, settings=settings, clock=self._clock)
        return self._same(
            "nginx",
            (wanted.state_directory, settings),
            lambda: external(state_directory=wanted.state_directory, settings=settings, clock=self._clock),
        )

    def _acme(
        self, wanted: Desired, authority: CertificateAuthority, email: str | None, providers: Mapping[str, DnsProvider]
    ) -> Acme:
        # Heavy, and not needed by a gate of the LAN alone.
        from gatelodge.issuers.acme.issuer import Acme  # noqa: PLC0415 - memory on a small machine

        solvers = self._solvers(wanted, providers)
        return self._same(
            f"acme {authority.name}",
            (authority, email, solvers),
            lambda: Acme(
                authority=authority,
                http=self._web(authority.root),
                documents=self._documents,
                clock=self._clock,
                keys=self._keys,
                solvers=solvers,
                email=email,
                events=self._events,
            ),
        )

    def _solvers(self, wanted: Desired, providers: Mapping[str, DnsProvider]) -> Mapping[str, Solver]:
        from gatelodge.solvers.dns01 import Dns01  # noqa: PLC0415 - only where an ACME CA is used
        from gatelodge.solvers.http01 import Webroot  # noqa: PLC0415 - as above

        origin = f"http://{wanted.nginx.address}:{wanted.nginx.http_port}"
        webroot: Solver = self._same(
            HTTP_01,
            (wanted.webroot, origin),
            lambda: Webroot(
                directory=wanted.webroot,
                http=self._web(None),
                origin=origin,
                clock=self._clock,
                own=wanted.webroot.startswith(f"{wanted.state_directory}/"),
            ),
        )
        by_dns: dict[str, Solver] = {
            f"{DNS_PREFIX}{name}": self._same(
                f"{DNS_PREFIX}{name}",
                (provider, wanted.dns[name].provider, wanted.dns[name].wait, self._resolver(wanted)),
                lambda name=name, provider=provider: Dns01(  # type: ignore[misc] # mypy infers no types of defaults
                    name=name,
                    kind=wanted.dns[name].provider,
                    provider=provider,
                    ledger=self._ledger,
                    resolver=self._resolver(wanted),
                    wait=wanted.dns[name].wait,
                ),
            )
            for name, provider in providers.items()
        }
        return {HTTP_01: webroot, **by_dns}

    def _provider(self, settings: DnsSettings, wanted: Desired) -> DnsProvider:
        from gatelodge.dns.providers import PROVIDERS, Parts  # noqa: PLC0415 - only where one is named

        resolver = self._resolver(wanted)
        parts = Parts(http=self._web(settings.ca_file), clock=self._clock, resolver=resolver)
        return self._same(
            f"provider {settings.name}",
            (settings, resolver),
            lambda: PROVIDERS[settings.provider].make(settings, parts),
        )

    def _resolver(self, wanted: Desired) -> Resolver:
        from gatelodge.dns.resolver import PublicResolver  # noqa: PLC0415 - only where a provider is named

        return self._same(
            "resolver",
            (wanted.resolver, wanted.doh, wanted.dns_port),
            lambda: PublicResolver(
                servers=wanted.resolver,
                doh=wanted.doh,
                http=self._web(None),
                clock=self._clock,
                port=wanted.dns_port,
            ),
        )

    def _addresses(self, wanted: Desired, providers: Mapping[str, DnsProvider]) -> Addresses | None:
        settings = wanted.ddns
        if settings is None:
            return None
        from gatelodge.dns.public_address import Finder  # noqa: PLC0415 - only where it is asked for
        from gatelodge.runtime.addresses import Addresses  # noqa: PLC0415 - as above

        provider = cast("AddressProvider", providers[settings.dns])  # `check` lets no other through
        return self._same(
            "addresses",
            (settings, provider, self._resolver(wanted)),
            lambda: Addresses(
                settings=settings,
                provider=provider,
                finder=Finder(http=self._web(None)),
                resolver=self._resolver(wanted),
                documents=self._documents,
                clock=self._clock,
                events=self._events,
            ),
        )

    def _same(self, key: str, parts: object, make: Callable[[], _Part]) -> _Part:
        """
        Return the part of before while it would be made of the same, else a new one.
        """
        kept = self._kept.get(key)
        if kept is None or kept[0] != parts:
            kept = self._kept[key] = (parts, make())
        part: _Part = kept[1]
        return part

    def _web(self, root: str | None) -> Web:
        if root not in self._webs:
            self._webs[root] = Web(root=root)
        return self._webs[root]
