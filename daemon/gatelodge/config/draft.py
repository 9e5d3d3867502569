"""
A configuration that may still hold mistakes, and where each of its entries stands in the document.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.config.shape import Tls
from gatelodge.model import covers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gatelodge.config.document.site_tables import SiteTable
    from gatelodge.config.document.tables import ListenTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.shape import Config, SiteSection
    from gatelodge.model import Listener


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """
    What could be read. `site_paths` and `certificate_paths` lead from normalised names to the keys as they were written,
    `tables` to what was said of a site before defaults were filled in, `listen` to what was of a listener.
    """

    config: Config
    tables: Mapping[str, SiteTable]
    site_paths: Mapping[str, Path]
    certificate_paths: Mapping[str, Path]
    listen: Mapping[Listener, ListenTable] = dataclasses.field(default_factory=dict)

    def sites(self, found: Mistakes, *keys: str) -> Iterator[tuple[SiteSection, Path]]:
        """
        Yield the sites of which all these keys could be read, with their paths.
        """
        for name, section in self.config.sites.items():
            path = self.site_paths[name]
            if not found.unread(*((*path, key) for key in keys)):
                yield section, path

    def has_own_certificate(self, site: SiteSection) -> bool:
        """
        Tell whether a site gets a certificate of its own: it has TLS, names none, and none that was asked for covers it.

        Sites with IP hosts that share a listener share one certificate, which is the first one's own; that is not told here.
        """
        if site.tls is Tls.OFF or site.certificate:
            return False
        return site.tls is not Tls.ACME or not any(
            all(any(covers(name, host) for name in section.names) for host in site.hosts)
            for section in self.config.certificates.values()
        )
