"""
What the answer of a service means for visitors: above all, whether it sends them in circles, or to where they cannot come.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatelodge.model import is_ip

if TYPE_CHECKING:
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.probing import Head
    from gatelodge.doctor.uses import Use

_MOVED, _REFUSED, _BAD_REQUEST, _FAILED = 300, 400, 400, 500


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Astray:
    """
    Where visitors are sent to that is wrong, why, and what to do; `circles` when nobody gets in at all.
    """

    seen: str
    why: str
    do: str
    circles: bool = False


def judge(use: Use, head: Head, websocket: str, findings: Findings) -> None:
    """
    Say what an answer to a visitor would be.

    Args:
        websocket: what came of asking for one, in words.
    """
    upstream, location = use.upstream, head.headers.get("location", "")
    astray = _astray(use, location) if _MOVED < head.status < _REFUSED and location else None
    if astray is not None:
        tell = findings.broken if astray.circles else findings.warn
        tell(use.subject, f"{upstream} {astray.seen}", why=astray.why, do=astray.do)
    elif head.status >= _FAILED:
        findings.warn(
            use.subject,
            f"{upstream} answers {head.status}",
            why="that is what visitors see",
            do="look at the service's own log",
        )
    elif head.status == _BAD_REQUEST:
        findings.warn(
            use.subject,
            f"{upstream} answers 400 when it is asked for {use.host}",
            why="it speaks TLS there, does not know the name (a list of trusted domains or proxies), or wants something else",
            do=f"write https:// if it speaks TLS; otherwise add {use.host} to the names, and nginx to the proxies, that the app trusts",
        )
    else:
        findings.ok(use.subject, f"{upstream} answers {head.status}{websocket}")


def _astray(use: Use, location: str) -> _Astray | None:
    try:
        target, own = urlsplit(location), urlsplit(use.visited)
        port = target.port
    except ValueError:
        return _Astray(
            seen=f"sends visitors to {location}, which is no URL",
            why="no browser can follow it",
            do="tell the app its own URL",
        )
    if not use.visited or not target.hostname:
        return None
    at_home = target.hostname in use.hosts or target.hostname == own.hostname
    if at_home:
        same = (target.scheme, target.netloc, target.path or "/", target.query) == (
            own.scheme,
            own.netloc,
            use.path,
            "",
        )
        if same:
            return _Astray(
                seen=f"sends whoever asks for {use.path} to {location}, though it was told that he came by https (X-Forwarded-Proto)",
                why="visitors go in circles: the browser says that there are too many redirects",
                do="switch the redirection to https off in the app (nginx does it), or have the app trust nginx as its proxy",
                circles=True,
            )
        # nginx mends a Location of the visitor's own host and port by plain http.
        if port != own.port and (target.scheme == "https" or own.port is not None):
            return _Astray(
                seen=f"sends visitors to {location}, and they come by {use.visited}",
                why="the link leads to another port, where nobody or somebody else answers",
                do="tell the app its own URL, with the port",
            )
    elif is_ip(target.hostname) or "." not in target.hostname:
        return _Astray(
            seen=f"sends visitors to {location}",
            why="that name means something inside this network only",
            do="tell the app its own URL, or have it believe X-Forwarded-Host",
        )
    return None
