"""
The parts of the daemon that a configuration makes: what is desired, the nginx it speaks of, the issuers it names.

A new configuration means a new `Gate`; everything else of the daemon stays.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Connections, Observed
    from gatelodge.core.tree import Rendered
    from gatelodge.model import JsonObject
    from gatelodge.ports import Adoption, Brought, Ca, DnsProvider, Exporter, Issuer, Nginx
    from gatelodge.runtime.addresses import Addresses


async def _untold(rendered: Rendered) -> Connections | None:
    """
    Nobody tells how many visitors there are.
    """
    del rendered
    return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """
    `issuers` are by the text of their reference (`acme:letsencrypt`, `local`), those that are ACME CAs also in `cas`; `render` is pure; `dates` ask the CAs in use for
    their time, in order. `providers` are the DNS providers by the NAME of their `[dns.NAME]`; `addresses` keeps dynamic DNS;
    `adoption` reads certificates of other tools, `brought` those in files of the user's; `exporter` makes copies for other programs; `budgets` tells what of the CAs' limits is
    used up, an object for each; `connections` asks the nginx that serves a tree how many visitors it has, None where it does not tell;
    `sweep` removes what a killed process left where CAs look for tokens, once it is old.
    """

    desired: Desired
    nginx: Nginx
    issuers: Mapping[str, Issuer]
    render: Callable[[Desired, Observed], Rendered]
    cas: Mapping[str, Ca] = dataclasses.field(default_factory=dict)
    dates: tuple[Callable[[], Awaitable[dt.datetime]], ...] = ()
    providers: Mapping[str, DnsProvider] = dataclasses.field(default_factory=dict)
    addresses: Addresses | None = None
    adoption: Adoption | None = None
    brought: Brought | None = None
    exporter: Exporter | None = None
    budgets: Callable[[], Sequence[JsonObject]] = tuple
    sweep: Callable[[], None] = lambda: None
    connections: Callable[[Rendered], Awaitable[Connections | None]] = _untold
