"""
Decides whether a mapping, as tomllib made it, is a configuration: all of it, or all of its mistakes.

It reads no file and no clock, and raises nothing but `ConfigError`, whatever the mapping holds.
"""

from __future__ import annotations

import dataclasses
import types
from typing import TYPE_CHECKING, Any

from gatelodge.config.catalog import BUILT_IN
from gatelodge.config.checks import conflicts, doors, exports, helpers, issuance, listening, loops
from gatelodge.config.checks import streams as stream_conflicts
from gatelodge.config.document.fields import given
from gatelodge.config.draft import Draft
from gatelodge.config.mistakes import Mistakes
from gatelodge.config.sections import admin, auth, authorities, certificates, presets, providers, site, streams
from gatelodge.config.sections import exports as export_section
from gatelodge.config.sections import nginx as nginx_section
from gatelodge.config.sections import outbox as outbox_section
from gatelodge.config.sections.levels import Known
from gatelodge.config.shape import Config
from gatelodge.config.structure import structure
from gatelodge.config.values.networks import Networks
from gatelodge.errors import ConfigError
from gatelodge.model import CaSubject, file_name
from gatelodge.model.log import LogSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.catalog import Catalog
    from gatelodge.config.document.site_tables import SiteTable
    from gatelodge.config.document.tables import Document
    from gatelodge.config.keys import Path
    from gatelodge.config.shape import CertificateSection, SiteSection
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
    draft = _draft(structure(presets.applied(mapping, catalog, found), found), catalog, found)
    for each in (conflicts, stream_conflicts, listening, loops, helpers, exports, doors):
        each.find(draft, found)
    issuance.find(draft, catalog, found)
    auth.unused(draft.config, found)
    providers.hosts_left(draft.config.ddns, draft.config.dynamic_hosts, found)
    if found.errors:
        raise ConfigError(found.errors)
    return dataclasses.replace(draft.config, warnings=found.warnings)


def _draft(document: Document, catalog: Catalog, found: Mistakes) -> Draft:
    """
    Make a configuration of everything that could be read.
    """
    known = authorities.authorities(document.acme.cas if document.acme else {}, catalog, found)
    specs, spec_paths = _certificates(document, known, catalog, found)
    networks = Networks(document.nets, found)
    settings, files = nginx_section.nginx(document, networks, found)
    auths = auth.read(document.auth, found)
    sites: dict[str, SiteSection] = {}
    tables: dict[str, SiteTable] = {}
    site_paths: dict[str, Path] = {}
    for key, table in document.sites.items():
        read = site.read(key, table, settings, Known(auths=auths, networks=networks), found)
        if read is None:
            continue
        section, site_files = read
        name = section.hosts[0]
        if name in sites:
            found.add(
                ("sites", key), f"there is a site {name} already", "make one of the two; hosts and routes can be many"
            )
        else:
            sites[name], tables[name], site_paths[name] = section, table, ("sites", key)
            files += site_files
    read_streams, stream_files = streams.read(document.streams, networks, found)
    dns = providers.dns(document.dns, catalog, found)
    service = admin.read(document.admin, found)
    notify = outbox_section.notify(document.notify or (), found)
    config = Config(
        acme=certificates.acme(document.acme, known, catalog, found) if document.acme else None,
        authorities=known,
        certificates=specs,
        sites=sites,
        streams=read_streams,
        nginx=settings,
        dns=dns,
        ddns=providers.ddns(document.ddns, dns, catalog, found),
        auth=auths,
        ca_subject=_subject(document),
        admin=service,
        log=LogSettings(**given(document.log, *(each.name for each in dataclasses.fields(LogSettings)))),
        notify=notify,
        hooks=outbox_section.hooks(document.hook or (), found),
        snippet_files=(*files, *stream_files),
        exposed=(
            *providers.exposed(dns),
            *auth.exposed(auths),
            *authorities.exposed(known),
            *export_section.exposed(specs, sites),
            *admin.exposed(service),
            *outbox_section.exposed(notify),
        ),
        **_settings(document),
    )
    return Draft(
        config=config, tables=tables, site_paths=site_paths, certificate_paths=spec_paths, listen=document.listen
    )


def _settings(document: Document) -> dict[str, Any]:
    """
    Return the settings of no kind of their own that the person wrote.
    """
    said = {
        **given(document, "state_directory", "check_every"),
        "admin_socket": document.admin.socket,
        "resolver": document.resolver.servers,
        "doh": document.resolver.doh,
        "dns_port": document.resolver.port,
    }
    return {key: value for key, value in said.items() if value is not None}


def _subject(document: Document) -> CaSubject:
    keys = (field.name for field in dataclasses.fields(CaSubject))
    return CaSubject(**given(document.ca, *keys)) if document.ca else CaSubject()


def _certificates(
    document: Document, known: Mapping[str, CertificateAuthority], catalog: Catalog, found: Mistakes
) -> tuple[dict[str, CertificateSection], dict[str, Path]]:
    """
    Return the entries of `[certificates]` by NAME, and where each stands.
    """
    specs: dict[str, CertificateSection] = {}
    paths: dict[str, Path] = {}
    for key, table in document.certificates.items():
        section = certificates.certificate(key, table, known, catalog, found)
        name = file_name(key)
        if section is None:
            continue
        if name in specs:
            found.add(("certificates", key), f"there is a certificate called {name} already", "rename one of the two")
        else:
            specs[name], paths[name] = section, ("certificates", key)
    return specs, paths
