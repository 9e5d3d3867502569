"""
The world as the rest of Gatelodge sees it: one Protocol for each thing that can be swapped.

A port's docstrings are the contract: what is atomic, what may be called again, what happens on cancellation. `tests/contracts`
holds one suite for each port and runs it on every implementation and on its fake. Every coroutine here honours cancellation:
it cleans up what it began and raises `CancelledError` on.
"""

from gatelodge.core.addresses import Standing
from gatelodge.ports.dns import AddressProvider, Authority, DnsProvider, Excess, KeyHolder, Resolver, TxtRecord
from gatelodge.ports.exporting import Exporter
from gatelodge.ports.issuing import AccountSeen, Adoption, Brought, Ca, Challenge, Issuer, Keys, Solver
from gatelodge.ports.nginx import Nginx
from gatelodge.ports.stores import Documents, Index, Issued, Store
from gatelodge.ports.telling import Notifier
from gatelodge.ports.world import Clock, Events, Http, HttpResponse

__all__ = [
    "AccountSeen",
    "AddressProvider",
    "Adoption",
    "Authority",
    "Brought",
    "Ca",
    "Challenge",
    "Clock",
    "DnsProvider",
    "Documents",
    "Events",
    "Excess",
    "Exporter",
    "Http",
    "HttpResponse",
    "Index",
    "Issued",
    "Issuer",
    "KeyHolder",
    "Keys",
    "Nginx",
    "Notifier",
    "Resolver",
    "Solver",
    "Standing",
    "Store",
    "TxtRecord",
]
