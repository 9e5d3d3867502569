"""
Names what else lies in SWAG's folder and was not taken over, with one line why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.importing.found import Left
from gatelodge.importing.toml_text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gatelodge.importing.folder import Folder
    from gatelodge.importing.shared_files import Shared

#: Folders of SWAG's that do something which Gatelodge does not.
_FOLDERS = {
    "fail2ban": "Gatelodge bans nobody; a fail2ban of the machine can read nginx's access log ([nginx] access_log)",
    "www": 'files are not taken over: write a site with static = "/path" (docs/sites.md)',
    "php": 'there is no PHP in Gatelodge; run it as a service of its own, behind upstream = "fastcgi://…" (docs/sites.md)',
    "crontabs": "Gatelodge runs no cron jobs; renewal is its own",
    "custom-cont-init.d": "scripts at the start of SWAG's container",
    "custom-services.d": "services within SWAG's container",
    "geoip2db": "visitors are not told apart by country",
    "crowdsec": "Gatelodge asks no CrowdSec",
}

#: What SWAG itself puts into `nginx/`: nothing of the person's, unless it was changed, which is seen where it matters.
_OWN_CONFS = frozenset(
    {
        "nginx.conf",
        "ssl.conf",
        "proxy.conf",
        "resolver.conf",
        "worker_processes.conf",
        "internal.conf",
        "error_pages.conf",
    }
)


def look(folder: Folder, shared: Shared, customs: Iterable[str]) -> Iterator[Left]:
    """
    Yield what is there.
    """
    for name, why in _FOLDERS.items():
        if folder.names(name):
            yield Left(what=f"{name}/", why=why)
    for name in folder.names("nginx"):
        if name == ".htpasswd":
            yield Left(
                what="nginx/.htpasswd",
                why='write [auth.NAME] with provider = "basic" and users_file, and `auth` in the sites that it guards (docs/sites.md)',
            )
        elif name.endswith(".conf") and name not in _OWN_CONFS:
            yield Left(
                what=f"nginx/{shown(name)}",
                why="nginx files of yours are not taken over; `snippet` in a site can hold directives (docs/sites.md)",
            )
    for file in customs:
        why = "files of www/ and what else it does are not taken over; unknown names are refused by Gatelodge itself"
        if not file.endswith("/default.conf") and not file.endswith("/default"):
            why = "server blocks of your own are not taken over: write them as [sites]"
        yield Left(what=shown(file), why=why)
    if shared.streams:
        yield Left(what="stream { } in nginx/nginx.conf", why="streams of TCP and UDP are not in this release")
