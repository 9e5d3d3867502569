"""
Publishes records through a service of dns-lexicon, which knows some ninety of them (docs/lexicon.md).

dns-lexicon blocks and knows no time limit: it runs in threads. It never looks for the zone itself, and reads neither variables nor
files of its own: all that it knows are the options.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import logging
import types
from typing import TYPE_CHECKING, Any, TypeVar, cast

from gatelodge.credentials import fetch
from gatelodge.dns.lexicon.errors import Scrubber, told
from gatelodge.dns.lexicon.options import Unusable, is_secret, load, spelled
from gatelodge.dns.lexicon.records import Records
from gatelodge.dns.lexicon.threads import GivenUp, Stuck, Threads
from gatelodge.errors import DnsError, Problem, SecretMissing
from gatelodge.model import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gatelodge.dns.lexicon.options import Takes
    from gatelodge.dns.lexicon.threads import Ticket
    from gatelodge.dns.providers import Parts
    from gatelodge.model import DnsSettings
    from gatelodge.ports import Clock, Resolver, Standing, TxtRecord

_Answer = TypeVar("_Answer")

#: A service that let us in will do so for this long. Seconds.
_FRESH = 60.0

#: Seconds to connect, and between two parts of an answer, where a service of dns-lexicon sets none.
_HTTP_SECONDS = (10.0, 30.0)


def make(settings: DnsSettings, parts: Parts) -> Lexicon:
    """
    Make the provider of a `[dns.NAME]`.
    """
    return Lexicon(settings=settings, resolver=parts.resolver, threads=Threads(), clock=parts.clock)


class Lexicon:
    """
    Implements `ports.AddressProvider`.
    """

    def __init__(self, *, settings: DnsSettings, resolver: Resolver, threads: Threads, clock: Clock) -> None:
        zone = settings.options.get("zone")
        self._zone = str(zone) if zone is not None else None
        self._account = Account(
            name=settings.name,
            service=str(settings.options["service"]),
            options=cast("Mapping[str, object]", settings.options.get("options") or {}),
            ttl=settings.ttl,
        )
        self._resolver = resolver
        self._threads = threads
        self._clock = clock
        self._reached: dict[str, float] = {}

    async def zone_of(self, name: str) -> str:
        """
        Return the configured zone, else the one that the public DNS has for a name, as `ports.DnsProvider` says. The service is asked for
        it, so that a key that is refused shows before a CA is asked.
        """
        if self._zone is None:
            zone = (await self._resolver.authority(name)).zone
            await self._reach(zone, name)
            return zone
        if name == self._zone or name.endswith(f".{self._zone}"):
            await self._reach(self._zone, name)
            return self._zone
        detail = f"{name}: `zone` of [dns.{self._account.name}] is {self._zone}; use another provider for this name"
        raise DnsError(Problem(type="dnsZone", detail=detail))

    async def _reach(self, zone: str, name: str) -> None:
        reached = self._reached.get(zone)
        if reached is None or self._clock.monotonic() - reached > _FRESH:
            await self._do(zone, name, lambda _: None)
            self._reached[zone] = self._clock.monotonic()

    async def name_servers(self, zone: str) -> frozenset[str] | None:
        """
        Return None: dns-lexicon does not tell.
        """
        del zone
        return None

    async def add(self, record: TxtRecord) -> str | None:
        """
        Add one value, as `ports.DnsProvider` says. dns-lexicon does not tell how the service calls it.
        """
        await self._do(record.zone, record.name, lambda records: records.add(record.name, "TXT", record.value))
        return None

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        """
        Remove exactly one value, as `ports.DnsProvider` says.
        """
        del known_as
        await self._do(record.zone, record.name, lambda records: records.remove(record.name, "TXT", record.value))

    async def standing(self, zone: str, name: str) -> Standing:
        """
        Return what a zone holds under a name, as `ports.AddressProvider` says.
        """
        return await self._do(zone, name, lambda records: records.standing(name))

    async def set_address(self, zone: str, name: str, address: str, *, instead_of: str | None) -> None:
        """
        Make an address the only one of its family, as `ports.AddressProvider` says.
        """
        await self._do(zone, name, lambda records: records.set_address(name, address, instead_of))

    async def _do(self, zone: str, name: str, work: Callable[[Records], _Answer]) -> _Answer:
        """
        Work on a zone's records in a thread. One at a time in each zone: many services write all values of a name, or all of a zone.
        """
        try:
            return await self._threads.run(zone, lambda ticket: self._account.work(zone, name, work, ticket))
        except Stuck as stuck:
            detail = f"{name}: dns-lexicon's {self._account.service}: {stuck}; see whether the service answers"
            raise DnsError(Problem(type="dnsProvider", detail=detail)) from None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    A service and the options for it. Secrets are fetched anew each time. All of it blocks.
    """

    name: str
    service: str
    options: Mapping[str, object] = dataclasses.field(repr=False)
    ttl: int | None

    def work(self, zone: str, name: str, work: Callable[[Records], _Answer], ticket: Ticket) -> _Answer:
        """
        Open a zone at the service, work on its records, and close it.

        Raises:
            DnsError: of whatever went wrong, without any secret.
        """
        options, secrets = self._given()
        scrub, opening = Scrubber(secrets), True
        try:
            with self._opened(zone, options) as provider:
                opening = False
                return work(Records(provider=provider, zone=zone, service=self.service, check=ticket.check))
        except (DnsError, GivenUp):
            raise
        except Unusable as unusable:
            detail = f"[dns.{self.name}]: {unusable.problem}; {unusable.remedy}"
            raise DnsError(Problem(type="dnsProvider", detail=detail)) from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - each service has exceptions of its own
            raise told(error, what=name, service=self.service, opening=opening, scrub=scrub) from None

    def _given(self) -> tuple[dict[str, object], list[str]]:
        """
        Return the options with their secrets, and all that must not be shown.
        """
        given: dict[str, object] = {}
        secrets: list[str] = []
        for key, value in self.options.items():
            option = spelled(key)
            if isinstance(value, SecretRef):
                try:
                    given[option] = fetch(value).reveal()
                except SecretMissing as error:
                    detail = f"[dns.{self.name}]: options.{key}: {error}"
                    raise DnsError(Problem(type="dnsCredentials", detail=detail)) from None
            else:
                given[option] = value
            if isinstance(value, SecretRef) or is_secret(option):
                secrets.append(str(given[option]))
        return given, secrets

    @contextlib.contextmanager
    def _opened(self, zone: str, given: Mapping[str, object]) -> Iterator[Any]:
        module, takes = load(self.service)
        _tame(module)
        config: Any = importlib.import_module("lexicon.config").ConfigResolver()
        config.with_dict(
            {
                "provider_name": self.service,
                "domain": zone,
                **({"ttl": self.ttl} if self.ttl else {}),
                self.service: _options(given, takes),
            }
        )
        provider: Any = module.Provider(config)
        try:
            provider.authenticate()
            yield provider
        finally:
            with contextlib.suppress(Exception):
                provider.cleanup()


def _options(given: Mapping[str, object], takes: Mapping[str, Takes]) -> dict[str, object]:
    """
    Return options as the command line would make them, under both spellings: some services ask for one with dashes.
    """
    made = {name: each.default for name, each in takes.items() if each.default not in (None, False)}
    for name, value in given.items():
        taken = takes.get(name)
        if not isinstance(value, bool):
            made[name] = taken.read(str(value)) if taken else str(value)
        elif value:
            made[name] = True
    return {**{name.replace("_", "-"): value for name, value in made.items()}, **made}


def _tame(module: types.ModuleType) -> None:
    """
    Let a service's module neither print, nor log what it received, nor wait for ever. Nothing but dns-lexicon is changed.
    """
    logging.getLogger("lexicon").setLevel(
        logging.CRITICAL + 1
    )  # whole answers, at the level of errors; ours tell what matters
    requests = getattr(module, "requests", None)
    if isinstance(requests, types.ModuleType):
        setattr(module, "requests", _Hasty(requests))  # noqa: B010 - a module has no such attribute for the type checker
    setattr(module, "print", _silent)  # noqa: B010 - as above


def _silent(*_: object, **__: object) -> None:
    """
    Print nothing.
    """


class _Hasty:
    """
    The module `requests` with time limits where none is given: it waits for ever by itself, and has no setting for that.
    """

    def __init__(self, requests: types.ModuleType) -> None:
        self._requests: Any = requests

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._requests, name)
        if name in {"request", "get", "post", "put", "patch", "delete", "head", "options"}:
            return functools.partial(_hasty, found)
        if name in {"Session", "session"}:
            return functools.partial(_hasty_session, found)
        return found


def _hasty(call: Callable[..., Any], *given: Any, **settings: Any) -> Any:
    settings.setdefault("timeout", _HTTP_SECONDS)
    return call(*given, **settings)


def _hasty_session(make_session: Callable[[], Any]) -> Any:
    session = make_session()
    session.request = functools.partial(_hasty, session.request)
    return session
