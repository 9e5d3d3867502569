"""
Puts together what reaches an nginx that others run, for each way in which it is told to reload. Nothing else is decided here.
"""

from __future__ import annotations

import grp
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.errors import StateError
from gatelodge.model import ByCommands, ByHelper
from gatelodge.nginx.commands import Commands
from gatelodge.nginx.external import External
from gatelodge.nginx.helper import Helper
from gatelodge.nginx.mailbox import Mailbox
from gatelodge.nginx.tree import Trees

if TYPE_CHECKING:
    from gatelodge.model import NginxSettings
    from gatelodge.nginx.reloading import Reloading
    from gatelodge.ports import Clock


def group_number(settings: NginxSettings) -> int | None:
    """
    Return the number of the group that may read certificates and trees; None when there is none to be.

    Raises:
        StateError: it is named, and not on this machine.
    """
    if settings.group is None:
        return None
    try:
        return grp.getgrnam(settings.group).gr_gid
    except KeyError:
        raise StateError(
            f"[nginx] group {settings.group}",
            "there is no such group on this machine",
            "make it (groupadd), or name another",
        ) from None


def reloading(*, state_directory: str, settings: NginxSettings, clock: Clock) -> Reloading:
    """
    Put together what reaches somebody else's nginx.
    """
    folder = Path(state_directory) / "nginx"
    group = group_number(settings)
    trees = Trees(folder, group=group)
    if isinstance(settings.reload, ByCommands):
        return Commands(trees=trees, settings=settings, by=settings.reload, ours=str(folder), clock=clock)
    if isinstance(settings.reload, ByHelper):
        return Helper(folder=folder, state_directory=state_directory, clock=clock)
    return Mailbox(folder=folder, trees=trees, state_directory=state_directory, group=group, clock=clock)


def external(*, state_directory: str, settings: NginxSettings, clock: Clock) -> External:
    """
    Put together what speaks to somebody else's nginx.
    """
    group = group_number(settings)
    return External(
        trees=Trees(Path(state_directory) / "nginx", group=group),
        reloading=reloading(state_directory=state_directory, settings=settings, clock=clock),
        settings=settings,
        clock=clock,
    )
