"""
Reads the folder of SWAG, the one that its container has at `/config`: its settings, its certificate, its sites.

A site is taken over only when it is sure to do the same here. One that asked visitors for a login never is.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from gatelodge.config.catalog import BUILT_IN
from gatelodge.importing import certbot, nginx_syntax, shared_files, swag_left, swag_settings, swag_sites, wanted
from gatelodge.importing.found import Found, FoundCertificate, FoundSite, Left, NothingFound
from gatelodge.importing.swag_subfolders import read as subfolders
from gatelodge.importing.toml_text import shown
from gatelodge.model import covers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gatelodge.importing.folder import Folder
    from gatelodge.importing.nginx_syntax import Directive
    from gatelodge.importing.swag_settings import Settings

#: Where SWAG's own container has the folder.
USUAL = "/config"

_SETTINGS = (".donoteditthisfile.conf", "donoteditthisfile.conf")
_LETSENCRYPT = "etc/letsencrypt/"


def read(folder: Folder) -> Found:
    """
    Return what SWAG has.

    Raises:
        NothingFound: it is not a folder of SWAG's.
    """
    texts = [text for name in _SETTINGS if (text := folder.text(name)) is not None]
    settings = swag_settings.read(texts[0]) if texts else None
    every = certbot.lineages(folder, _LETSENCRYPT)
    if settings is None and not every:
        root = "; run this as root" if folder.forbidden else ""
        told = "what it was told is damaged" if texts else "not what it was told"
        raise NothingFound(
            f"{shown(folder.root)} holds no certificate of SWAG's, and {told} ({_SETTINGS[0]}); "
            f"name the folder that its container has at {USUAL}{root}"
        )
    providers = certbot.Providers(folder, lambda path: _there(folder, path))
    authorities: dict[str, str] = {}
    used = _used(folder, settings, every)
    certificate = None
    if settings is not None:
        certificate = _wanted(settings, used, providers)
    elif used is not None:
        certificate = certbot.certificate(used, wanted.name(used.name, ()), providers, authorities)
    sites, left = _sites(folder, settings, certificate)
    return Found(
        tool="SWAG",
        directory=folder.root,
        email=wanted.email(settings["EMAIL"]) if settings else None,
        authorities=authorities,
        dns=providers.found,
        certificates=(certificate,) if certificate else (),
        sites=tuple(sites),
        left=(*_damaged(folder, texts, settings), *left, *_unused(every, used)),
    )


def _wanted(settings: Settings, used: certbot.Lineage | None, providers: certbot.Providers) -> FoundCertificate:
    """
    Return the certificate that SWAG was told to have; the one that is there is served until there is another.
    """
    hosts, bad = wanted.hosts(settings.names)
    by = why = None
    if settings.plugin is not None:
        ending = "json" if settings.plugin == "google" else "ini"
        file = f"{USUAL}/dns-conf/{settings.plugin}.{ending}"
        provider = providers.named(settings.plugin.removeprefix("dns-"), file, settings["PROPAGATION"])
        by, why = (None, provider) if isinstance(provider, str) else (provider.name, None)
    ca = "letsencrypt-staging" if settings.staging else BUILT_IN.default
    remarks = []
    usable = False
    if settings.zerossl:
        remarks.append("It came from ZeroSSL, which takes only customers: the next one will be of letsencrypt.")
    seen = used.seen if used else None
    if seen:
        remarks.append(f"The one that is there ends on {seen.ends:%Y-%m-%d}.")
        old, _ = wanted.hosts(seen.names)
        usable = any(covers(mine, host) for mine in old for host in hosts)
        if lacking := [host for host in hosts if host not in old]:
            remarks.append(f"It is not for {', '.join(lacking)}.")
    key, remark = certbot.key_of(used) if used else (None, None)
    remarks += [remark] if remark else []
    if settings.plugin is None:
        remarks.append("It was proven by port 80, which must lead to Gatelodge now.")
    return FoundCertificate(
        name=wanted.name(used.name if used else settings.lineage, ()),
        names=hosts,
        ca=ca,
        challenge=wanted.challenges(hosts, by or ("home" if why else None)),
        key=key,
        profile=None if settings.zerossl else wanted.profile(settings["CERT_PROFILE"]),
        adopt=wanted.folder(used.live) if used and usable else None,
        remarks=tuple(remarks),
        held=why or wanted.refusal(hosts, bad, ca, by_dns=by is not None),
    )


def _used(folder: Folder, settings: Settings | None, every: Iterable[certbot.Lineage]) -> certbot.Lineage | None:
    """
    Return the lineage that SWAG's nginx shows: the one that `keys/letsencrypt` leads to, else the one named as SWAG would.
    """
    link = folder.link("keys/letsencrypt")
    names = [posixpath.basename(link.rstrip("/"))] if link else []
    names += [settings.lineage] if settings else []
    known = {lineage.name: lineage for lineage in every}
    for name in names:
        if name in known:
            return known[name]
    return next(iter(known.values())) if len(known) == 1 and settings is None else None


def _sites(
    folder: Folder, settings: Settings | None, certificate: FoundCertificate | None
) -> tuple[list[FoundSite], list[Left]]:
    left: list[Left] = []
    proxies = _parsed(folder, "nginx/proxy-confs", ".subdomain.conf", left)
    subs = _parsed(folder, "nginx/proxy-confs", ".subfolder.conf", left)
    customs = _parsed(folder, "nginx/site-confs", ".conf", left) | _parsed(folder, "nginx/site-confs", "default", left)
    root = _parsed(folder, "nginx", "nginx.conf", left).get("nginx/nginx.conf", ())
    files = {
        name: directives
        for name in ("ssl.conf", "proxy.conf", "resolver.conf")
        for directives in _parsed(folder, "nginx", name, left).values()
    }
    blind = f"{left[0].what} could not be read, and may say more about its name" if left else None
    if certificate is not None and certificate.held is not None:
        blind = "the certificate that it needs is held back"
    shared = shared_files.look(files, root, {**customs, **proxies})
    certified = certificate.names if certificate else ()
    confs = swag_sites.Confs(proxies=proxies, customs=customs, blind=blind or _inactive(customs, root, proxies))
    bases = (settings["URL"], *(name.removeprefix("*.") for name in settings.extra)) if settings else ()
    sites = swag_sites.Sites(confs, shared, certified, bases)
    results = list(sites.read())
    urls, _ = wanted.hosts([settings["URL"]] if settings else certified[:1])
    if urls:
        results += subfolders(subs, confs, shared, sites, urls[0])
    else:
        results += [Left(what=shown(file), why="it is not known below which name it lies") for file in subs]
    found = [each for each in results if isinstance(each, FoundSite)]
    left += [each for each in results if isinstance(each, Left)]
    left += swag_left.look(folder, shared, customs)
    return found, left


def _parsed(folder: Folder, where: str, ending: str, left: list[Left]) -> dict[str, tuple[Directive, ...]]:
    """
    Return the files of a folder that nginx reads; what cannot be read is noted.
    """
    found = {}
    for name in folder.names(where):
        if name != ending and not (ending.startswith(".") and name.endswith(ending)):
            continue
        file = f"{where}/{name}"
        text = folder.text(file)
        if text is None:
            left.append(Left(what=shown(file), why=folder.trouble.get(file, "it leads nowhere")))
            continue
        try:
            found[file] = nginx_syntax.parse(text)
        except nginx_syntax.Damaged as damaged:
            left.append(Left(what=shown(file), why=f"it is not in nginx's syntax: {damaged}"))
    if where in folder.trouble:
        left.append(Left(what=f"{where}/", why=folder.trouble[where]))
    return found


def _inactive(
    customs: dict[str, tuple[Directive, ...]], root: tuple[Directive, ...], proxies: dict[str, tuple[Directive, ...]]
) -> str | None:
    """
    Say that nginx does not read the sites at all, which would be known only when its own files are there.
    """
    every = [
        inner for each in (*root, *(each for inside in customs.values() for each in inside)) for inner in each.walk()
    ]
    if not customs or not proxies or any(_subdomains(each) for each in every):
        return None
    return "no file of site-confs includes proxy-confs/*.subdomain.conf, so that SWAG does not serve it"


def _subdomains(each: Directive) -> bool:
    return each.name == "include" and any("proxy-confs/*" in arg and "subfolder" not in arg for arg in each.args)


def _damaged(folder: Folder, texts: list[str], settings: Settings | None) -> Iterator[Left]:
    if settings is None:
        why = "it is not what SWAG writes" if texts else folder.trouble.get(_SETTINGS[0], "it is not there")
        yield Left(what=_SETTINGS[0], why=f"{why}; names are those of the certificate that is there")
    elif settings["EMAIL"] and wanted.email(settings["EMAIL"]) is None:
        yield Left(what="EMAIL", why="it is no e-mail address")


def _unused(every: Iterable[certbot.Lineage], used: certbot.Lineage | None) -> Iterator[Left]:
    for lineage in every:
        if lineage is not used:
            yield Left(what=f"{_LETSENCRYPT}live/{shown(lineage.name)}", why="SWAG does not use it")


def _there(folder: Folder, path: str) -> str:
    """
    Return where something is from here: what SWAG's container has at /config lies in this folder.
    """
    return folder.path(path.removeprefix(f"{USUAL}/")) if path.startswith(f"{USUAL}/") else path
