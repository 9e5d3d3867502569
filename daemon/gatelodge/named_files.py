"""
Finds what is wrong in the files that a configuration names. Nothing of it keeps a daemon from running.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge import credentials
from gatelodge.errors import SecretMissing
from gatelodge.issuers.files import Unfit, check_names, find_troubles, load
from gatelodge.issuers.subject import find_other_name
from gatelodge.model import Mistake
from gatelodge.runtime.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.config.shape import Config
    from gatelodge.model import CaSubject


def kept_root(subject: CaSubject, folder: str) -> tuple[str, str] | None:
    """
    Say that the root of the local CA keeps a name which is not what the configuration says, and what to do; None when it does not.
    """
    name = find_other_name(subject, Path(folder) / "root.pem")
    if name is None:
        return None
    return (
        f"it changes nothing: the root was made before, and devices trust it as {name}",
        f"write that, or move {folder} away: a new root is made then, which every device must import",
    )


def find_mistakes_in_files(config: Config) -> Iterator[Mistake]:
    """
    Yield what is wrong with certificates that the user brings, with what he calls a CA that has its name already, and with the token
    of the admin service.

    Nothing of this keeps a daemon from running: what was served before goes on.
    """
    now = SystemClock().now()
    for site in config.sites.values():
        if site.files is not None:
            path = f"{site.key}.tls"
            try:
                pair = load(site.files)
                check_names(site.files, pair, site.names)
            except Unfit as unfit:
                yield Mistake(path=path, problem=unfit.problem, remedy=unfit.remedy, warning=unfit.closed)
            else:
                for trouble in find_troubles(site.files, pair, now):
                    yield Mistake(path=path, problem=trouble.problem, remedy=trouble.remedy, warning=True)
    if (kept := kept_root(config.ca_subject, f"{config.state_directory}/ca/root")) is not None:
        problem, remedy = kept
        yield Mistake(path="ca", problem=problem, remedy=remedy, warning=True)
    if config.admin.listen and config.admin.token is not None and config.admin.token.env is None:
        # A variable is the daemon's, and seldom there for whoever asks.
        try:
            credentials.admin_token(config.admin.token)
        except SecretMissing as error:
            yield Mistake(path="admin.token", problem=f"{error.where} {error.problem}", remedy=error.remedy)
