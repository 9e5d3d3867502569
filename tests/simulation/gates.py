"""
The daemon's own wiring, with what it meets at its ports replaced by the simulated world's.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.simulation.keys import DrawnKeys

from gatelodge.errors import HttpUnreachable
from gatelodge.gates import Gates
from gatelodge.solvers.outside import Outside

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.simulation.world import World

    from gatelodge.config.shape import Config
    from gatelodge.core.desired import Desired
    from gatelodge.model import CertificateSpec, DnsSettings
    from gatelodge.ports import Ca, DnsProvider, HttpResponse, Issued, Nginx, Resolver
    from gatelodge.ports.advice import Adviser
    from gatelodge.runtime.gate import Gate


class Network:
    """
    Implements `ports.Http`: leads to the CAs, and everything else to nginx.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    async def request(self, method: str, url: str, **more: Any) -> HttpResponse:
        parts = urlsplit(url)
        for ca in self._world.cas.values():
            if url.startswith(f"{ca.base}/"):
                return await ca.request(method, url, **more)
        if parts.path.startswith("/.well-known/acme-challenge/"):
            return await self._world.nginx.request(method, url, **more)
        raise HttpUnreachable(f"nobody is {parts.hostname}")

    async def close(self) -> None:
        """
        Nothing is open.
        """


class Watched:
    """
    A CA's issuer, of which it is seen when two work on one certificate.
    """

    def __init__(self, issuer: Ca, world: World) -> None:
        self._issuer = issuer
        self._world = world

    @contextlib.asynccontextmanager
    async def issue(self, spec: CertificateSpec, **more: Any) -> AsyncIterator[Issued]:
        obtaining, name = self._world.obtaining, spec.name
        if obtaining.get(name):
            self._world.doubled.append(name)
        obtaining[name] = obtaining.get(name, 0) + 1
        try:
            async with self._issuer.issue(spec, **more) as issued:
                yield issued
        finally:
            obtaining[name] = obtaining.get(name, 1) - 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._issuer, name)


class SimulatedGates(Gates):
    """
    The real `Gates`, in the simulated world.
    """

    def __init__(self, world: World, **parts: Any) -> None:
        super().__init__(**parts)
        self._world = world
        self._keys = DrawnKeys(world.chance)  # type: ignore[assignment]
        self._network = Network(world)

    def make(self, config: Config) -> Gate:
        gate = super().make(config)
        watched = {name: Watched(ca, self._world) for name, ca in gate.cas.items()}
        return dataclasses.replace(gate, issuers={**gate.issuers, **watched}, cas=watched)

    def _nginx(self, wanted: Desired) -> Nginx:
        del wanted
        return self._world.nginx

    def _adviser(self, wanted: Desired) -> Adviser:
        return self._same(
            "adviser",
            (),
            lambda: Outside(
                resolver=lambda: self.resolver(wanted), http=self._web(None), own=frozenset, public=self._no_addresses
            ),
        )

    def _provider(self, settings: DnsSettings, wanted: Desired) -> DnsProvider:
        del settings, wanted
        return self._world.provider

    def resolver(self, wanted: Desired) -> Resolver:
        del wanted
        return self._world.resolver

    def _web(self, root: str | None, proxy: str | None = None) -> Any:
        del root, proxy
        return self._network

    @staticmethod
    def _no_addresses() -> Mapping[str, str]:
        return {}
