"""
Decides what may be said on the command line of the helper, which is all that it believes. The daemon says none of it.
"""

from __future__ import annotations

import argparse
import os
import pwd
import re
import signal
import sys
from typing import TYPE_CHECKING

from gatelodge.rootside.rules import Ground
from gatelodge.rootside.serve import Helper, Settings, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Paths as they stand in a configuration without quotes, and without anything that could be a pattern or a variable.
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Answer the requests that are there, and return an exit status.
    """
    try:
        settings = _settings(_parser().parse_args(arguments))
    except ValueError as error:
        tell(str(error))
        return 2
    os.umask(0o022)
    # As an exception, so that a change that is not proven is taken back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        Helper(settings).once()
    except OSError as error:
        tell(f"{error}; it is the unit that makes these folders (RuntimeDirectory=, StateDirectory=)")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gatelodge.rootside", description="Give a root's nginx the trees of a daemon that is not root.", allow_abbrev=False
    )  # fmt: skip
    parser.add_argument(
        "--once", action="store_true", required=True, help="answer the requests that are there, and end"
    )
    parser.add_argument("--user", default="gatelodge", help="whom the daemon runs as (default: gatelodge)")
    parser.add_argument("--state", default="/var/lib/gatelodge", help="the daemon's state directory")
    parser.add_argument("--webroot", help="where http-01 tokens are put (default: webroot in the state directory)")
    parser.add_argument("--access-log", default="off", help="the log that sites may be told to write (default: off)")
    parser.add_argument("--keep", default="/var/lib/gatelodge-nginx", help="where nginx reads the checked copies")
    parser.add_argument("--run", default="/run/gatelodge-nginx", help="where answers are written")
    parser.add_argument("--nginx", default="nginx", help="the program (default: nginx)")
    return parser


def _settings(said: argparse.Namespace) -> Settings:
    """
    Raises:
        ValueError: something that was said cannot be.
    """
    webroot = said.webroot or f"{said.state}/webroot"
    for option, path in (("state", said.state), ("keep", said.keep), ("run", said.run), ("webroot", webroot)):
        if not _PLAIN.fullmatch(path):
            raise ValueError(
                f"--{option} {path}: write an absolute path of letters, digits, dots, dashes and underscores"
            )
    if said.access_log != "off" and not _PLAIN.fullmatch(said.access_log):
        raise ValueError(f"--access-log {said.access_log}: write off, or an absolute path as for --state")
    try:
        user = pwd.getpwuid(int(said.user)) if said.user.isdecimal() else pwd.getpwnam(said.user)
    except KeyError:
        raise ValueError(f"--user {said.user}: there is no such user; name the one that the daemon runs as") from None
    if user.pw_uid == 0:
        raise ValueError(
            "--user root: a daemon that is root needs no helper, and none protects against it; see docs/helper.md"
        )
    return Settings(
        ground=Ground(state=said.state, webroot=webroot, access_log=said.access_log),
        owner=user.pw_uid,
        group=user.pw_gid,
        keep=said.keep,
        run=said.run,
        nginx=said.nginx,
    )


if __name__ == "__main__":
    sys.exit(main())
