"""
Decides what a visitor reads when nginx has nothing to pass on: a service that does not answer, a site that is closed, pages of the
user's own.

A page tells no more than its status does: neither what stands behind the gate nor why it is silent.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from gatelodge.nginx.writing.quote import Directive, Expanding, Expression, block, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatelodge.model import Maintenance, Route, Site

#: Statuses that nginx itself gives for a service that does not answer, or not in time (RFC 9110 §15.6.3, §15.6.5).
_SILENT = ("502", "504")

_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<title>{title}</title><style>body{{font:1.1em/1.6 system-ui,sans-serif;max-width:32em;margin:15vh auto;padding:0 1em}}"
    "</style><h1>{title}</h1><p>{text}</p></html>"
)

UNREACHABLE = _PAGE.format(
    title="No answer from this service",
    text="The gate is open, but the service behind it does not answer right now. Please try again in a minute.",
)
CLOSED = _PAGE.format(
    title="Closed for maintenance", text="This site is being worked on. Please come back a little later."
)

_UNREACHABLE_PLACE = "@gatelodge_unreachable"
_CLOSED_PLACE = "@gatelodge_closed"
_FOLDER = "/.gatelodge/pages/"

#: The end of a file's name, as far as it can tell a type.
_END = re.compile(r"\.[A-Za-z0-9]{1,8}$")

#: What a page of our own is, whatever was asked for: else the end of the path would tell.
HTML = (block("types", inside=[]), line("default_type", "text/html"))


def in_place_of(route: Route, *, proxied: bool) -> list[Directive]:
    """
    Return which pages a location shows in place of nginx's own.
    """
    own = [line("error_page", str(code), _own_place(code, file)) for code, file in route.error_pages]
    given = {str(code) for code, _ in route.error_pages}
    silent = [each for each in _SILENT if each not in given] if proxied else []
    return own + ([line("error_page", *silent, _UNREACHABLE_PLACE)] if silent else [])


def unreachable() -> Directive:
    """
    Return the location that says that a service does not answer.
    """
    inside = [*HTML, line("return", "502", Expression("$gatelodge_unreachable"))]
    return block("location", _UNREACHABLE_PLACE, inside=inside)


def own_pages(site: Site) -> list[Directive]:
    """
    Return the locations of the user's own pages, each once, and what is shown when one cannot be.
    """
    named = dict.fromkeys(each for route in site.routes for each in route.error_pages)
    bare = dict.fromkeys(code for code, _ in named)
    several = bool(named) or (site.maintenance is not None and site.maintenance.page is not None)
    return [
        # From one page to the next, where the first cannot be shown; the last is nginx's own.
        *([line("recursive_error_pages", "on")] if several else []),
        *(block("location", _bare_place(code), inside=[line("return", str(code))]) for code in bare),
        *(
            block("location", "=", _own_place(code, file), inside=_shown(file, otherwise=_bare_place(code)))
            for code, file in named
        ),
    ]


def _bare_place(code: int) -> str:
    return f"@gatelodge_status_{code}"


def _own_place(code: int | str, file: str) -> str:
    """
    Return where a file is shown in place of a status. By its path: two of one name lie in two folders. The end tells its type.
    """
    end = _END.search(file)
    return f"{_FOLDER}{code}-{hashlib.sha256(file.encode()).hexdigest()[:8]}{end[0] if end else ''}"


def _shown(file: str, *, otherwise: str) -> list[Directive]:
    """
    Show a file, or something else while it is not there or not to be read by nginx's workers.
    """
    return [
        line("internal"),
        line("default_type", "text/html"),
        line("error_page", "403", "404", "=", otherwise),
        line("alias", Expanding(file)),
    ]


def closing(
    maintenance: Maintenance, site: Site, told: Sequence[tuple[str, str]] = ()
) -> tuple[list[Directive], list[Directive], list[Directive]]:
    """
    Return what closes a site: what stands before its servers, in each of its locations, and in its servers.

    Args:
        told: headers that every answer of this server has.
    """
    variable = closed_variable(site)
    allowed = [line(network, "0") for network in maintenance.allow]
    before = [block("geo", Expression(variable), inside=[line("default", "1"), *allowed])]
    page = _own_place("closed", maintenance.page) if maintenance.page else _CLOSED_PLACE
    inside = [
        block("if", Expression(f"({variable})"), inside=[line("return", "503")]),
        line("error_page", "503", page),
    ]
    usual = [line("add_header", name, value, "always") for name, value in told]
    # An upstream's own 503 comes here too, where some status of the route has a page of the user's. Nobody said how long that will be.
    unsaid = [*usual, line("add_header", "Retry-After", "", "always"), line("return", "503")]
    seconds = str(int(maintenance.retry_after.total_seconds()))
    later = [
        block("if", Expression("($upstream_status)"), inside=unsaid),
        *usual,
        line("add_header", "Retry-After", seconds, "always"),
    ]
    server = [block("location", _CLOSED_PLACE, inside=[*HTML, *later, line("return", "503", Expanding(CLOSED))])]
    if maintenance.page:
        server.append(block("location", "=", page, inside=[*later, *_shown(maintenance.page, otherwise=_CLOSED_PLACE)]))
    return before, inside, server


def closed_variable(site: Site) -> str:
    """
    Return the variable that tells who finds a site closed.
    """
    return f"$gatelodge_closed_{hashlib.sha256(site.name.encode()).hexdigest()[:8]}"
