"""
Reads `[nginx]` and `[listen]`: how nginx is run, what its ports are called from outside, who stands before it, and what holds for
single listeners.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatelodge.config.document.fields import given
from gatelodge.config.shape import SnippetFile
from gatelodge.config.values import snippets
from gatelodge.config.values.leaves import Mode
from gatelodge.config.values.networks import ALL
from gatelodge.model import ByCommands, ByHelper, ByMailbox, ListenSettings, NginxSettings, TrustedProxies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.config.document.tables import Document, ListenTable, NginxTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.values.networks import Networks
    from gatelodge.model import Listener

#: Keys of `[nginx]` that mean nothing for an nginx of that kind, and why.
_OF_OTHERS: Mapping[str, str] = {
    "user": "write it into the nginx.conf of that nginx",
    "drain": "write worker_shutdown_timeout into the nginx.conf of that nginx",
    "http_snippet": "write it into the nginx.conf of that nginx",
    "stream_snippet": "write it into the nginx.conf of that nginx",
}
_OF_OURS: Mapping[str, str] = {
    "reload": 'write mode = "external" when others run nginx',
    "group": 'write mode = "external" when others run nginx',
    "default_server": 'write mode = "external" when others run nginx',
}

_OF_THE_HELPERS: Mapping[str, str] = {
    "binary": "leave it out: the helper is told which nginx it is (docs/helper.md)",
    "group": "leave it out: the helper and nginx's master are root, and read what they must",
}

_KEPT = (
    *("binary", "address", "http_port", "https_port", "user", "access_log", "drain", "reload_interval"),
    *("group", "default_server"),
)
_SNIPPETS = ("http_snippet", "stream_snippet")


def nginx(document: Document, networks: Networks, found: Mistakes) -> tuple[NginxSettings, tuple[SnippetFile, ...]]:
    """
    Fill in `[nginx]`: the public ports are the ports themselves, unless others are given. Its snippets that stand in files are told
    beside it.
    """
    table = document.nginx
    external = table.mode is Mode.EXTERNAL
    binary = table.binary or NginxSettings().binary
    usual = ByCommands(commands=((binary, "-t"), (binary, "-s", "reload")))
    reload = (table.reload or usual) if external else None
    _means_something(table, reload, external=external, found=found)
    ports: dict[str, Any] = {}
    for name in ("http_port", "https_port"):
        public = given(table, f"public_{name}", name)
        if public:
            ports[f"public_{name}"] = next(iter(public.values()))
    texts: dict[str, Any] = {}
    files = []
    for key in _SNIPPETS:
        path: Path = ("nginx", key)
        texts[key], file = snippets.read(path, getattr(table, key), found)
        if file is not None and not external:
            files.append(SnippetFile(path=path, file=file, line=found.line(path)))
    if document.resolver.valid is not None:
        ports["resolver_valid"] = document.resolver.valid
    settings = NginxSettings(
        reload=reload,
        listen=tuple(_listen(document.listen, networks, found).items()),
        trusted_proxies=_proxies(table, networks, found),
        **given(table, *_KEPT),
        **ports,
        **texts,
    )
    return settings, tuple(files)


def _means_something(table: NginxTable, reload: object, *, external: bool, found: Mistakes) -> None:
    if found.unread(("nginx", "mode")):
        return
    idle = dict(_OF_OTHERS if external else _OF_OURS)
    if isinstance(reload, ByMailbox):
        idle["binary"] = "leave it out: the script in the other place asks the nginx that is there"
    if isinstance(reload, ByHelper):
        idle |= _OF_THE_HELPERS
    if external and table.access_log == "stdout":
        found.add(("nginx", "access_log"), "the nginx is others', and does not write to us", "write a path")
    for key, remedy in idle.items():
        if getattr(table, key) is not None:
            whose = "that others run" if external else "that Gatelodge runs"
            found.add(("nginx", key), f"it means nothing for an nginx {whose}", remedy)


def _proxies(table: NginxTable, networks: Networks, found: Mistakes) -> TrustedProxies | None:
    path: Path = ("nginx", "trusted_proxies")
    if table.trusted_proxies is None:
        if table.real_ip_header is not None and not found.unread(path):
            found.add(
                ("nginx", "real_ip_header"),
                "nobody is trusted to say in it who the visitor is",
                'write trusted_proxies = ["cloudflare"], or the networks of your proxy',
            )
        return None
    trusted = _trusted(path, table.trusted_proxies, networks, found)
    header = {"header": table.real_ip_header} if table.real_ip_header else {}
    return TrustedProxies(networks=trusted, **header) if trusted else None


def _listen(
    tables: Mapping[Listener, ListenTable], networks: Networks, found: Mistakes
) -> dict[Listener, ListenSettings]:
    settings = {}
    for listener, table in tables.items():
        path: Path = ("listen", str(listener), "proxy_protocol")
        proxies = None
        if table.proxy_protocol is not None:
            proxies = _trusted(path, table.proxy_protocol, networks, found)
            if table.http3:
                found.add(
                    ("listen", str(listener), "http3"),
                    "a PROXY header stands before a connection of TCP, and HTTP/3 has none",
                    "leave out one of the two",
                )
        settings[listener] = ListenSettings(proxy_protocol=proxies, **given(table, "tls_profile", "http3"))
    return settings


def _trusted(path: Path, listed: tuple[str, ...], networks: Networks, found: Mistakes) -> tuple[str, ...]:
    """
    Return the networks whose word is taken for who the visitor is.
    """
    if not listed and not found.unread(path):
        found.add(path, "it is empty", "write the networks of those who are trusted, or leave it out")
    trusted = networks.resolved(path, listed)
    if not set(trusted).isdisjoint(ALL):
        found.warn(
            path,
            "everybody could say that he is somebody else, and pass what is allowed by address",
            "write the networks of your proxies",
        )
    return trusted
