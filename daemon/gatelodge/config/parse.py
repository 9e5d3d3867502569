"""
Decides whether a mapping, as tomllib made it, is a configuration: all of it, or all of its mistakes.

It reads no file and no clock, and raises nothing but `ConfigError`, whatever the mapping holds.
"""

from __future__ import annotations

import dataclasses
import types
from typing import TYPE_CHECKING, Any

from gatelodge.config import conflicts, issuance, providers, sections
from gatelodge.config.catalog import BUILT_IN
from gatelodge.config.draft import Draft
from gatelodge.config.mistakes import Mistakes
from gatelodge.config.shape import Config
from gatelodge.config.structure import structure
from gatelodge.errors import ConfigError
from gatelodge.model import file_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.catalog import Catalog
    from gatelodge.config.keys import Path
    from gatelodge.config.shape import CertificateSection, SiteSection
    from gatelodge.config.tables import Document, SiteTable
    from gatelodge.model import CertificateAuthority

_NO_LINES: Mapping[Path, int] = types.MappingProxyType({})


def parse(
    mapping: Mapping[str, object], catalog: Catalog = BUILT_IN, *, lines: Mapping[Path, int] = _NO_LINES
) -> Config:
    """
    Return the configuration that a mapping holds, its warnings with it.

    Args:
        mapping: what tomllib made of the TOML.
        catalog: what may be named without being defined.
        lines: the line of each key path, as far as known.

    Raises:
        ConfigError: it holds mistakes; they are all in it.
    """
    found = Mistakes(lines)
    draft = _draft(structure(mapping, found), catalog, found)
    conflicts.find(draft, found)
    issuance.find(draft, catalog, found)
    providers.hosts_left(draft.config.ddns, draft.config.dynamic_hosts, found)
    if found.errors:
        raise ConfigError(found.errors)
    return dataclasses.replace(draft.config, warnings=found.warnings)


def _draft(document: Document, catalog: Catalog, found: Mistakes) -> Draft:
    """
    Make a configuration of everything that could be read.
    """
    acme = document.acme
    known = sections.authorities(acme.cas if acme else {}, catalog, found)
    certificates, certificate_paths = _certificates(document, known, catalog, found)
    sites: dict[str, SiteSection] = {}
    tables: dict[str, SiteTable] = {}
    site_paths: dict[str, Path] = {}
    settings = sections.nginx(document.nginx, found)
    for key, table in document.sites.items():
        section = sections.site(key, table, settings, found)
        if section is None:
            continue
        name = section.hosts[0]
        if name in sites:
            found.add(
                ("sites", key), f"there is a site {name} already", "make one of the two; hosts and routes can be many"
            )
        else:
            sites[name], tables[name], site_paths[name] = section, table, ("sites", key)
    dns = providers.dns(document.dns, catalog, found)
    ddns = providers.ddns(document.ddns, dns, catalog, found)
    given: dict[str, Any] = {
        "state_directory": document.state_directory,
        "check_every": document.check_every,
        "admin_socket": document.admin.socket,
        "resolver": document.resolver.servers,
        "doh": document.resolver.doh,
        "dns_port": document.resolver.port,
    }
    config = Config(
        acme=sections.acme(acme, known, catalog, found) if acme else None,
        authorities=known,
        certificates=certificates,
        sites=sites,
        nginx=settings,
        dns=dns,
        ddns=ddns,
        exposed=providers.exposed(dns),
    )
    config = dataclasses.replace(config, **{key: value for key, value in given.items() if value is not None})
    return Draft(config=config, tables=tables, site_paths=site_paths, certificate_paths=certificate_paths)


def _certificates(
    document: Document, known: Mapping[str, CertificateAuthority], catalog: Catalog, found: Mistakes
) -> tuple[dict[str, CertificateSection], dict[str, Path]]:
    """
    Return the entries of `[certificates]` by NAME, and where each stands.
    """
    certificates: dict[str, CertificateSection] = {}
    paths: dict[str, Path] = {}
    for key, table in document.certificates.items():
        section = sections.certificate(key, table, known, catalog, found)
        name = file_name(key)
        if section is None:
            continue
        if name in certificates:
            found.add(("certificates", key), f"there is a certificate called {name} already", "rename one of the two")
        else:
            certificates[name], paths[name] = section, ("certificates", key)
    return certificates, paths
