"""
Whether nginx's workers get at what they open themselves: files of sites, error pages, passwords, tokens, buffers. Certificates are the
master's.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge.model import BasicAuth, Files
from gatelodge.stores.state import PUBLIC, WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatelodge.core.desired import Desired
    from gatelodge.core.tree import Capabilities
    from gatelodge.doctor.findings import Findings


def look_at_files(wanted: Desired, found: Capabilities, findings: Findings) -> None:
    """
    Look at each part of each path, as the workers' user meets it. Blocks.
    """
    if os.geteuid() != 0:
        _look_as_ourselves(wanted, findings)
        return
    if found.user is None:
        return
    try:
        user = pwd.getpwnam(found.user)
        groups = {user.pw_gid, *(each.gr_gid for each in grp.getgrall() if found.user in each.gr_mem)}
    except KeyError:
        findings.broken(
            "nginx",
            f"there is no user {found.user} for its workers",
            why="nginx does not start",
            do="name another in [nginx] user",
        )
        return
    barred = False
    for path, what in _opened(wanted):
        barrier = _barrier(Path(path), user.pw_uid, groups)
        if barrier is not None:
            barred = True
            seen, do = barrier
            findings.broken(
                path, f"nginx's workers ({found.user}) cannot get to {what}: {seen}",
                why="it is answered with 403 or 404, or an upload fails", do=do,
            )  # fmt: skip
    if not barred:
        findings.ok("nginx", f"its workers ({found.user}) can read what they open themselves")


def _look_as_ourselves(wanted: Desired, findings: Findings) -> None:
    for path, what in _opened(wanted):
        if not Path(path).exists() and not path.startswith(wanted.state_directory):
            findings.broken(
                path,
                f"it is not there, or this user may not see it: {what}",
                why="it is answered with 404",
                do="make it, or mend the path",
            )


def _opened(wanted: Desired) -> Iterator[tuple[str, str]]:
    for site in wanted.sites:
        for route in site.routes:
            if isinstance(route.action, Files):
                yield route.action.root, f"the files of {site.name}{route.path}"
            yield from ((page, f"an error page of {site.name}") for _, page in route.error_pages)
    for name, auth in wanted.auth.items():
        if isinstance(auth, BasicAuth) and auth.file is not None:
            yield auth.file, f"the passwords of auth.{name}"
    for name in (*PUBLIC, *WORKERS):
        if Path(f"{wanted.state_directory}/{name}").exists():
            yield f"{wanted.state_directory}/{name}", "what it must read and write in the state directory"


def _barrier(path: Path, uid: int, groups: set[int]) -> tuple[str, str] | None:
    """
    Return what is with the first part of a path that a user may not pass or read, or that is not there, and what to do; None when he can.
    """
    for part in (*reversed(path.parents), path):
        try:
            found = part.stat()
        except FileNotFoundError:
            return f"{part} is not there", "make it, or mend the path"
        except OSError as error:
            return f"{part}: {error.strerror}", "mend the path"
        own = found.st_uid == uid
        grouped = found.st_gid in groups
        shift = 6 if own else 3 if grouped else 0
        needed = stat.S_IXOTH if stat.S_ISDIR(found.st_mode) else stat.S_IROTH
        if not (found.st_mode >> shift) & needed:
            return f"{part} is closed to them", f"chmod o+rx {part}, or put it elsewhere"
    return None
