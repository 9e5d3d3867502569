"""
Reads the lineages of certbot: `renewal/NAME.conf`, and the names in `live/NAME/cert.pem`, which are the truth.

Hooks and other options of the renewal are named and not taken over. A file that is damaged is named, and harms no other.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.config.catalog import BUILT_IN
from gatelodge.config.mistakes import Unreadable
from gatelodge.importing import ini, pem, wanted
from gatelodge.importing.found import Found, FoundCertificate, FoundDns, Left, NothingFound
from gatelodge.importing.plugins import Used, provider
from gatelodge.importing.toml_text import shown
from gatelodge.model import KeyKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gatelodge.importing.folder import Folder

#: Where certbot keeps its things when nothing else is said.
USUAL = "/etc/letsencrypt"

#: Authenticators that answered over plain HTTP, or may have.
_BY_HTTP = frozenset({"webroot", "standalone", "nginx", "apache", "manual"})

#: Options of a renewal that change what is got or done, and why they are not taken over.
_LEFT: Mapping[str, str] = {
    "pre_hook": "commands before and after a renewal are not run by Gatelodge; nginx is reloaded by itself",
    "post_hook": "commands before and after a renewal are not run by Gatelodge; nginx is reloaded by itself",
    "renew_hook": "commands after a renewal are not run by Gatelodge; other programs can read certificates/NAME/current/",
    "deploy_hook": "commands after a renewal are not run by Gatelodge; other programs can read certificates/NAME/current/",
    "preferred_chain": "the CA's usual chain is taken",
    "reuse_key": "every certificate gets a new key",
    "must_staple": "certificates are asked for without must-staple",
    "installer": "nginx is configured by Gatelodge itself",
}
_NOTHING = frozenset({"", "None", "False"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """
    What certbot knows of one certificate. `seen` is the certificate itself, None when it cannot be read.
    """

    name: str
    live: str
    seen: pem.Seen | None
    trouble: str | None
    params: Mapping[str, str]
    webroots: Mapping[str, str]

    @property
    def plugin(self) -> str:
        """
        The authenticator, by its name of today: once it had that of its package before it.
        """
        return self.params.get("authenticator", "").rpartition(":")[2].replace("_", "-").lower()


def lineages(folder: Folder, base: str = "") -> tuple[Lineage, ...]:
    """
    Return the lineages of a folder of certbot's, which lies at `base` in another.
    """
    found = []
    for file in folder.names(f"{base}renewal"):
        name = file.removesuffix(".conf")
        if name == file:
            continue
        text = folder.text(f"{base}renewal/{file}")
        sections = ini.sections(text or "")
        live = f"{base}live/{name}"
        certificate = folder.text(f"{live}/cert.pem")
        seen = pem.read(certificate) if certificate else None
        trouble = None
        if text is None:
            trouble = folder.trouble.get(f"{base}renewal/{file}", "it cannot be read")
        elif ("renewalparams",) not in sections:
            trouble = "it has no [renewalparams]"
        found.append(
            Lineage(
                name=name,
                live=folder.path(live),
                seen=seen,
                trouble=trouble,
                params=sections.get(("renewalparams",), {}),
                webroots=sections.get(("renewalparams", "webroot_map"), {}),
            )
        )
    return tuple(found)


class Providers:
    """
    The DNS providers that certificates need, each once.
    """

    def __init__(self, folder: Folder, path: Callable[[str], str]) -> None:
        self._folder = folder
        self._path = path
        self._known: dict[tuple[str, str | None], FoundDns | str] = {}

    def named(self, plugin: str, credentials: str | None, seconds: str | None) -> FoundDns | str:
        """
        Return the provider that does what a plugin did, else why there is none.
        """
        file = self._path(credentials) if credentials else None
        if (plugin, file) not in self._known:
            name = wanted.name(plugin, {each.name for each in self.found})
            used = Used(
                plugin=plugin,
                credentials=file,
                text=self._folder.text(file) if file else None,
                seconds=int(seconds) if seconds and seconds.isascii() and seconds.isdecimal() else None,
            )
            self._known[plugin, file] = provider(used, name)
        return self._known[plugin, file]

    @property
    def found(self) -> tuple[FoundDns, ...]:
        """
        Those that were asked for.
        """
        return tuple(each for each in self._known.values() if isinstance(each, FoundDns))


def read(folder: Folder) -> Found:
    """
    Return what certbot has.

    Raises:
        NothingFound: it is not a folder of certbot's.
    """
    every = lineages(folder)
    if not every:
        why = folder.trouble.get("renewal") or "there is no renewal/NAME.conf in it"
        root = "; run this as root" if folder.forbidden else ""
        raise NothingFound(f"{shown(folder.root)} holds no certificates of certbot's: {why}{root}")
    providers = Providers(folder, lambda path: _there(folder, path))
    authorities: dict[str, str] = {}
    certificates: list[FoundCertificate] = []
    for lineage in every:
        name = wanted.name(lineage.name, {each.name for each in certificates})
        certificates.append(certificate(lineage, name, providers, authorities))
    return Found(
        tool="certbot",
        directory=folder.root,
        webroot=_webroot(every),
        authorities=authorities,
        dns=providers.found,
        certificates=tuple(certificates),
        left=tuple(_left(folder, every)),
    )


def certificate(lineage: Lineage, name: str, providers: Providers, authorities: dict[str, str]) -> FoundCertificate:
    """
    Return the certificate that continues a lineage, under a NAME.
    """
    seen = lineage.seen
    hosts, bad = wanted.hosts(seen.names if seen else lineage.webroots)
    remarks = [] if name == lineage.name else [f"certbot calls it {shown(lineage.name)}."]
    held = _damaged(lineage)
    by, why = _by(lineage, providers, hosts)
    held = held or why
    ca = BUILT_IN.default
    try:
        ca, directory, remark = wanted.authority(lineage.params.get("server") or "")
        remarks += [remark] if remark else []
        if directory:
            authorities[ca] = directory
    except Unreadable as error:
        if "server" in lineage.params:
            held = held or f"its CA cannot be asked: {error.problem}"
    held = held or wanted.refusal(hosts, bad, ca, by_dns=by is not None)
    key, remark = key_of(lineage)
    if seen:
        remarks.append(f"The one that is there ends on {seen.ends:%Y-%m-%d}.")
    profile = lineage.params.get("required_profile") or lineage.params.get("preferred_profile") or "None"
    return FoundCertificate(
        name=name,
        names=hosts,
        ca=ca,
        # Held back for want of a provider: "home" is what the docs call one.
        challenge=wanted.challenges(hosts, by or ("home" if why else None)),
        key=key,
        profile=wanted.profile(profile) if profile not in _NOTHING else None,
        adopt=wanted.folder(lineage.live) if seen else None,
        remarks=(*remarks, *([remark] if remark else []), *_http(lineage, by)),
        held=held,
    )


def _damaged(lineage: Lineage) -> str | None:
    if lineage.trouble:
        return f"renewal/{shown(lineage.name)}.conf is damaged: {lineage.trouble}"
    if lineage.seen is None and not lineage.webroots:
        return f"live/{shown(lineage.name)}/cert.pem cannot be read, so that its names are not known; run this as root"
    return None


def _by(lineage: Lineage, providers: Providers, hosts: tuple[str, ...]) -> tuple[str | None, str | None]:
    """
    Return the NAME of the provider that proves a lineage, if it is proven by DNS, and what prevents that.
    """
    plugin = lineage.plugin
    if plugin == "manual" and (
        "dns" in lineage.params.get("pref_challs", "") or any(host.startswith("*.") for host in hosts)
    ):
        return None, 'it was proven by DNS by hand, or by a hook: a program can be a provider = "exec" (docs/exec.md)'
    if plugin in _BY_HTTP:
        return None, None
    short = plugin.removeprefix("dns-")
    if not plugin:
        return None, "it is not said how it was proven"
    under = f"dns_{short.replace('-', '_')}"
    values = {key.rpartition(":")[2].replace("-", "_"): value for key, value in lineage.params.items()}
    given = values.get(f"{under}_credentials")
    found = providers.named(
        short, None if given in {None, *_NOTHING} else given, values.get(f"{under}_propagation_seconds")
    )
    return (None, found) if isinstance(found, str) else (found.name, None)


def _http(lineage: Lineage, by: str | None) -> Iterator[str]:
    if by is None and lineage.plugin in _BY_HTTP - {"webroot"}:
        yield f"It was proven by {lineage.plugin}; now port 80 is that of Gatelodge's nginx, which answers the CA."


def key_of(lineage: Lineage) -> tuple[KeyKind | None, str | None]:
    """
    Return the kind of key that a lineage has, None for the one that Gatelodge takes by itself, and a remark.
    """
    if lineage.seen is not None:
        key, kind = lineage.seen.key, lineage.seen.kind
    else:
        kind = lineage.params.get("key_type", "ecdsa")
        curve, size = lineage.params.get("elliptic_curve", "secp256r1"), lineage.params.get("rsa_key_size", "2048")
        known = {"secp256r1": KeyKind.ECDSA_P256, "secp384r1": KeyKind.ECDSA_P384}
        key = known.get(curve) if kind == "ecdsa" else pem.rsa_kind(int(size)) if size.isdecimal() else None
    if key is None:
        return None, f"Its key was of a kind that Gatelodge does not make ({shown(kind)}): the next is ecdsa-p256."
    return (None if key is KeyKind.ECDSA_P256 else key), None


def _webroot(every: tuple[Lineage, ...]) -> str | None:
    """
    Return the one webroot that all lineages with a webroot have, None when they differ.
    """
    used = {
        path
        for lineage in every
        if lineage.plugin == "webroot"
        for path in (*lineage.webroots.values(), *ini.items(lineage.params.get("webroot_path", "")))
    }
    return wanted.folder(used.pop()) if len(used) == 1 else None


def _left(folder: Folder, every: tuple[Lineage, ...]) -> Iterator[Left]:
    for lineage in every:
        for key, why in _LEFT.items():
            value = lineage.params.get(key, "")
            if value not in _NOTHING:
                # The value is not repeated: a command can hold a secret.
                yield Left(what=f"{key} of {shown(lineage.name)}", why=why)
    for kind in ("pre", "deploy", "post"):
        for hook in folder.names(f"renewal-hooks/{kind}"):
            yield Left(what=f"renewal-hooks/{kind}/{shown(hook)}", why=_LEFT[f"{kind}_hook"])
    known = {lineage.name for lineage in every}
    for name in folder.names("live"):
        if name not in known and folder.text(f"live/{name}/cert.pem") is not None:
            yield Left(
                what=f"live/{shown(name)}", why="it has no renewal/NAME.conf, so certbot did not renew it either"
            )
    if folder.names("accounts"):
        yield Left(what="accounts/", why="Gatelodge makes an account of its own at the CA")


def _there(folder: Folder, path: str) -> str:
    """
    Return where a file of credentials is from here: what lies in certbot's usual place lies in this folder.
    """
    if path.startswith(f"{USUAL}/") and folder.root != USUAL:
        return folder.path(path.removeprefix(f"{USUAL}/"))
    return path
