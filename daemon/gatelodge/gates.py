"""
The parts of the daemon that depend on the configuration, put together: with `wiring`, what knows concrete classes.

Nothing is decided here but who is who. What it opens it closes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from gatelodge.core.desired import desired
from gatelodge.durable import in_thread
from gatelodge.issuers.acme.budgets import Budgets
from gatelodge.issuers.adopted import Adoptions
from gatelodge.issuers.files import BroughtFiles
from gatelodge.issuers.keys import NewKeys
from gatelodge.issuers.local import Local
from gatelodge.model import DNS_PREFIX, HTTP_01, AcmeIssuer, Listener, LocalIssuer
from gatelodge.named_files import kept_root
from gatelodge.nginx.managed import Managed
from gatelodge.nginx.proof import ask_connections
from gatelodge.nginx.reaching import external
from gatelodge.nginx.writing.render import Renderer
from gatelodge.runtime.gate import Gate
from gatelodge.runtime.snippets import filled
from gatelodge.runtime.standing.measured import MeasuredHttp
from gatelodge.runtime.standing.measures import Measures
from gatelodge.runtime.system import SystemClock, Web
from gatelodge.stores.mounts import passing

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Mapping

    from gatelodge.config.shape import AcmeSection, Config
    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Connections
    from gatelodge.core.tree import Rendered
    from gatelodge.issuers.acme.customers import Binding
    from gatelodge.issuers.acme.issuer import Acme
    from gatelodge.model import CertificateAuthority, DnsSettings
    from gatelodge.ports import (
        AddressProvider,
        Ca,
        DnsProvider,
        Documents,
        Events,
        Exporter,
        Issuer,
        Nginx,
        Resolver,
        Solver,
    )
    from gatelodge.ports.advice import Adviser
    from gatelodge.runtime.addresses import Addresses
    from gatelodge.solvers.dns01 import Dns01
    from gatelodge.solvers.http01 import Webroot
    from gatelodge.solvers.ledger import Ledger


_Part = TypeVar("_Part")


class Gates:
    """
    Makes the parts that depend on the configuration. A part stays the same one while nothing about it changed: its locks, counts
    and caches hold for jobs that still run. HTTP clients are closed at the end, so that work begun under an older configuration
    can finish.
    """

    def __init__(
        self,
        *,
        clock: SystemClock,
        documents: Documents,
        ledger: Ledger,
        events: Events,
        exporter: Exporter | None = None,
        measures: Measures | None = None,
    ) -> None:
        self._clock = clock
        self._documents = documents
        self._ledger = ledger
        self._events = events
        self._measures = measures or Measures()
        self.budgets = Budgets(documents=documents, clock=clock)
        self._keys = NewKeys()
        self._webs: dict[tuple[str | None, str | None], Web] = {}
        self._authorities: dict[str, Acme] = {}
        self._kept: dict[str, tuple[object, Any]] = {}
        self._adoption = Adoptions()
        self._brought = BroughtFiles(clock=clock)
        self._exporter = exporter

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
        wanted = desired(filled(config))
        ca = f"{config.state_directory}/ca"
        local = Local(directory=ca, clock=self._clock, keys=self._keys, subject=wanted.ca_subject)
        self._tell_kept_root(wanted, f"{ca}/root")
        issuers: dict[str, Issuer] = {str(LocalIssuer()): local}
        cas: dict[str, Ca] = {}
        dates: list[Callable[[], Awaitable[dt.datetime]]] = []
        providers = {name: self._provider(settings, wanted) for name, settings in wanted.dns.items()}
        for name in wanted.asked:
            acme = self._acme(wanted, wanted.authorities[name], config.acme, providers)
            issuers[str(AcmeIssuer(ca=name))] = cas[str(AcmeIssuer(ca=name))] = acme
            self._authorities[wanted.authorities[name].directory] = acme
            dates.append(acme.date)
        return Gate(
            desired=wanted,
            nginx=self._nginx(wanted),
            issuers=issuers,
            cas=cas,
            render=Renderer(),
            dates=tuple(dates),
            providers=providers,
            addresses=self._addresses(wanted, providers),
            adoption=self._adoption,
            brought=self._brought,
            exporter=self._exporter,
            budgets=lambda: self.budgets.shown(wanted.authorities.values()),
            sweep=self._webroot(wanted).sweep if wanted.asked else lambda: None,
            connections=_connections,
        )

    def authority(self, wanted: Desired, name: str) -> Acme:
        """
        Return the issuer of an ACME CA in use, once a gate was made.
        """
        return self._authorities[wanted.authorities[name].directory]

    def web(self) -> Web:
        """
        Return an HTTP client that trusts whom the machine trusts.
        """
        return self._web(None)

    def _tell_kept_root(self, wanted: Desired, folder: str) -> None:
        """
        Tell, once for each, that what the configuration calls the local CA is not what it is called already.
        """
        if (kept := kept_root(wanted.ca_subject, folder)) is not None:
            told = f"[ca]: {'; '.join(kept)}"
            self._same("kept root", told, lambda: self._events.emit("ca.kept", level="warning", error__detail=told))

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
        self,
        wanted: Desired,
        authority: CertificateAuthority,
        section: AcmeSection | None,
        providers: Mapping[str, DnsProvider],
    ) -> Acme:
        # Heavy, and not needed by a gate of the LAN alone.
        from gatelodge.issuers.acme.issuer import Acme  # noqa: PLC0415 - memory on a small machine

        solvers = self._solvers(wanted, providers)
        resolver = functools.partial(self.resolver, wanted)  # made when it is first asked
        # What a CA of tests certified is no loss, nor is what is not to be kept.
        kept = authority.production and not (section and section.allow_ephemeral_state)
        adviser = self._adviser(wanted)
        email, proxy = (section.email, section.proxy) if section else (None, None)
        return self._same(
            f"acme {authority.name}",
            (authority, email, proxy, solvers, adviser, kept, wanted.resolver, wanted.doh, wanted.dns_port),
            lambda: Acme(
                authority=authority,
                http=MeasuredHttp(
                    self._web(authority.root, proxy),
                    ca=authority.name,
                    directory=authority.directory,
                    measures=self._measures,
                    clock=self._clock,
                ),
                binding=self._binding(authority, email, proxy),
                preferred_chain=authority.preferred_chain,
                documents=self._documents,
                clock=self._clock,
                keys=self._keys,
                solvers=solvers,
                email=email,
                events=self._events,
                budgets=self.budgets,
                resolver=resolver,
                adviser=adviser,
                passing=functools.partial(passing, wanted.state_directory) if kept else lambda: None,
                others=self._authorities,
            ),
        )

    def _adviser(self, wanted: Desired) -> Adviser:
        from gatelodge.solvers.outside import Outside  # noqa: PLC0415 - as for the issuer

        def own() -> frozenset[str]:
            from gatelodge.dns.public_address import own_addresses  # noqa: PLC0415 - only after a failure

            return own_addresses()

        def public() -> Mapping[str, str]:
            _, addresses = self._kept.get("addresses", (None, None))
            return addresses.facts.addresses if addresses is not None and wanted.ddns is not None else {}

        return self._same(
            "adviser",
            (wanted.ddns, wanted.resolver, wanted.doh, wanted.dns_port),
            lambda: Outside(
                resolver=functools.partial(self.resolver, wanted), http=self._web(None), own=own, public=public
            ),
        )

    def _binding(self, authority: CertificateAuthority, email: str | None, proxy: str | None) -> Binding | None:
        from gatelodge.issuers.acme import customers  # noqa: PLC0415 - as for the issuer

        if authority.eab is not None:
            return functools.partial(customers.known, authority.eab, ca=authority.name)
        if authority.eab_service is not None and email is not None:
            http = self._web(None, proxy)
            return functools.partial(customers.fetched, http, authority.eab_service, email=email, ca=authority.name)
        return None

    def _solvers(self, wanted: Desired, providers: Mapping[str, DnsProvider]) -> Mapping[str, Solver]:
        by_dns = self.by_dns(wanted, providers)
        return {
            HTTP_01: self._webroot(wanted),
            **{f"{DNS_PREFIX}{name}": solver for name, solver in by_dns.items()},
        }

    def _webroot(self, wanted: Desired) -> Webroot:
        from gatelodge.solvers.http01 import Webroot  # noqa: PLC0415 - only where an ACME CA is used
        from gatelodge.solvers.proxied import Proxied  # noqa: PLC0415 - as above

        origin = f"http://{wanted.nginx.address}:{wanted.nginx.http_port}"
        proxied = wanted.nginx.terms(Listener(port=wanted.nginx.http_port)).proxy_protocol is not None
        return self._same(
            HTTP_01,
            (wanted.webroot, origin, proxied),
            lambda: Webroot(
                directory=wanted.webroot,
                http=Proxied() if proxied else self._web(None),
                origin=origin,
                clock=self._clock,
                own=wanted.webroot.startswith(f"{wanted.state_directory}/"),
            ),
        )

    def by_dns(self, wanted: Desired, providers: Mapping[str, DnsProvider]) -> Mapping[str, Dns01]:
        """
        Return what proves names by DNS, by the NAME of the provider.
        """
        from gatelodge.solvers.dns01 import Dns01  # noqa: PLC0415 - only where a provider is named

        return {
            name: self._same(
                f"{DNS_PREFIX}{name}",
                (provider, wanted.dns[name].provider, wanted.dns[name].wait, self.resolver(wanted)),
                lambda name=name, provider=provider: Dns01(  # type: ignore[misc] # mypy infers no types of defaults
                    name=name,
                    kind=wanted.dns[name].provider,
                    provider=provider,
                    ledger=self._ledger,
                    resolver=self.resolver(wanted),
                    wait=wanted.dns[name].wait,
                ),
            )
            for name, provider in providers.items()
        }

    def _provider(self, settings: DnsSettings, wanted: Desired) -> DnsProvider:
        from gatelodge.dns.providers import PROVIDERS, Parts  # noqa: PLC0415 - only where one is named

        resolver = self.resolver(wanted)
        parts = Parts(http=self._web(settings.ca_file), clock=self._clock, resolver=resolver)
        return self._same(
            f"provider {settings.name}",
            (settings, resolver),
            lambda: PROVIDERS[settings.provider].make(settings, parts),
        )

    def resolver(self, wanted: Desired) -> Resolver:
        """
        Return what looks up the world's DNS.
        """
        from gatelodge.dns.resolver import PublicResolver  # noqa: PLC0415 - only where something is looked up

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
            (settings, provider, self.resolver(wanted)),
            lambda: Addresses(
                settings=settings,
                provider=provider,
                finder=Finder(http=self._web(None)),
                resolver=self.resolver(wanted),
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

    def _web(self, root: str | None, proxy: str | None = None) -> Web:
        if (root, proxy) not in self._webs:
            self._webs[root, proxy] = Web(root=root, proxy=proxy)
        return self._webs[root, proxy]


async def _connections(rendered: Rendered) -> Connections | None:
    asking = functools.partial(ask_connections, rendered.proof, proxied=rendered.proof_proxied)
    return await in_thread(asking) if rendered.proof else None
