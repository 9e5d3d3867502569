"""
A configuration and what a test says of the world, as one check of the doctor meets them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tests.support.fake_resolver import FakeResolver
from tests.support.quick_clock import QuickClock

from gatelodge.config.read import read
from gatelodge.core.desired import desired
from gatelodge.core.tree import Capabilities
from gatelodge.doctor.findings import Findings
from gatelodge.doctor.patient import Instruments, Once, Patient
from gatelodge.errors import DnsError, HttpUnreachable, Problem
from gatelodge.offers import CATALOG
from gatelodge.ports import Authority
from gatelodge.solvers.dns01 import Dns01

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from gatelodge.ports import Clock, DnsProvider, Http
    from gatelodge.solvers.ledger import Ledger

#: A public address, which stands for this machine's.
PUBLIC = "192.88.99.7"

HEAD = """\
state_directory = "{folder}/state"
[acme]
agree_tos = true
ca = "letsencrypt"
"""

NGINX = Capabilities(
    binary="/usr/sbin/nginx",
    version=(1, 22, 1),
    modules=frozenset({"http_ssl_module", "http_v2_module", "http_realip_module", "http_auth_request_module"}),
    resolvers=("127.0.0.1",),
)


class World(FakeResolver):
    """
    The DNS as a table, with CNAMEs, name servers, and records that are everywhere at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.aliases: dict[str, str] = {}
        self.servers: dict[str, frozenset[str]] = {}
        self.late: str | None = None
        self.waited: list[Mapping[str, frozenset[str]]] = []

    async def canonical(self, name: str) -> str:
        await self._answer(name)
        return self.aliases.get(name, name)

    async def authority(self, name: str) -> Authority:
        await self._answer(name)
        zone = next((zone for zone in self.servers if name.endswith(zone)), name)
        return Authority(zone=zone, servers=self.servers.get(zone, frozenset()))

    async def wait_for(
        self,
        wanted: Mapping[str, frozenset[str]],
        *,
        kind: str,
        within: dt.timedelta,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        del kind, within, progress
        self.waited.append(wanted)
        if self.late is not None:
            raise DnsError(Problem(type="propagation", detail=self.late))


class NoWeb:
    """
    An HTTP client that reaches nobody.
    """

    async def request(self, method: str, url: str, **_: Any) -> Any:
        raise HttpUnreachable(f"{method} {url} cannot be reached")


@dataclasses.dataclass(kw_only=True)
class Case:
    """
    What a test says of the world. `report` is what `status` says, `public` the public addresses by family.
    """

    folder: Path
    toml: str = ""
    resolver: World = dataclasses.field(default_factory=World)
    providers: Mapping[str, DnsProvider] = dataclasses.field(default_factory=dict)
    ledger: Ledger | None = None
    dates: Mapping[str, Callable[[], Awaitable[Any]]] = dataclasses.field(default_factory=dict)
    identities: Mapping[str, Callable[[], Awaitable[frozenset[str]]]] = dataclasses.field(default_factory=dict)
    capabilities: Callable[[], Any] = lambda: NGINX
    report: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    public: Mapping[int, str] = dataclasses.field(default_factory=dict)
    clock: Clock = dataclasses.field(default_factory=QuickClock)
    http: Http = dataclasses.field(default_factory=NoWeb)
    entry: str | None = None
    write: bool = True

    def patient(self) -> Patient:
        """
        Return it as checks are given it.
        """
        config = read(HEAD.format(folder=self.folder) + self.toml, catalog=CATALOG)
        wanted = desired(config)
        solvers = {
            name: Dns01(
                name=name,
                kind=wanted.dns[name].provider,
                provider=provider,
                ledger=self.ledger,  # type: ignore[arg-type] # nothing is published by it here
                resolver=self.resolver,
                wait=wanted.dns[name].wait,
            )
            for name, provider in self.providers.items()
        }
        return Patient(
            file=str(self.folder / "gatelodge.toml"),
            clock=self.clock,
            http=self.http,
            standing=Once(self._standing),
            mistakes=config.warnings,
            config=config,
            desired=wanted,
            state_directory=config.state_directory,
            instruments=Instruments(
                resolver=self.resolver,
                providers=self.providers,
                solvers=solvers,
                dates=self.dates,
                identities=self.identities,
                capabilities=Once(self._capabilities),
                public={family: Once(self._public(family)) for family in (4, 6)},
                entry=self.entry,
                ledger=self.ledger,
                unwritable="" if self.ledger else "there is no journal",
            ),
            root=self.folder,
            write=self.write,
        )

    async def look(self, look: Callable[[Patient, Findings], Awaitable[None]]) -> Seen:
        """
        Have a check look, and return what it found.
        """
        findings = Findings("test")
        await look(self.patient(), findings)
        return Seen(findings)

    async def _capabilities(self) -> Capabilities:
        found: Capabilities = self.capabilities()
        return found

    async def _standing(self) -> Mapping[str, Any] | None:
        return self.report

    def _public(self, family: int) -> Callable[[], Awaitable[str]]:
        async def ask() -> str:
            if family not in self.public:
                raise DnsError(Problem(type="dnsProvider", detail="nobody tells it"))
            return self.public[family]

        return ask


class Seen:
    """
    What a check found.
    """

    def __init__(self, findings: Findings) -> None:
        self.all = findings.all
        self.levels = {(each.subject, str(each.level)) for each in findings.all}

    def of(self, level: str, subject: str = "") -> str:
        """
        Return what was seen, of the one finding of a level whose subject begins so. What is not well has a reason.
        """
        found = [each for each in self.all if each.level == level and each.subject.startswith(subject)]
        assert len(found) == 1, (level, subject, self.all)
        assert found[0].why or level in {"ok", "note"}
        assert found[0].do or level in {"ok", "note"}
        return found[0].seen

    def none(self, *levels: str) -> bool:
        """
        Tell whether nothing of these levels was found.
        """
        return not [each for each in self.all if each.level in levels]
