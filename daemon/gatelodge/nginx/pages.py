"""
Decides what a visitor reads when nginx has nothing to pass on: a service that does not answer, a site that is closed, pages of the
user's own.

A page tells no more than its status does: neither what stands behind the gate nor why it is silent.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from gatelodge.nginx.quote import Directive, Expanding, Expression, block, line

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

#: Apart from those, since one file may be both.
_CLOSED_FOLDER = "/.gatelodge/closed/"

#: What a page of our own is, whatever was asked for: else the end of the path would tell.
HTML = (block("types", inside=[]), line("default_type", "text/html"))


def in_place_of(route: Route, *, proxied: bool) -> list[Directive]:
    """
    Return which pages a location shows in place of nginx's own.
    """
    own = [line("error_page", str(code), _own_place(file)) for code, file in route.error_pages]
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
    Return the locations of the user's own pages, each once.
    """
    files = dict.fromkeys(file for route in site.routes for _, file in route.error_pages)
    return [_shown(_own_place(file), file) for file in files]


def _own_place(file: str) -> str:
    # By its path: two pages of one name lie in two folders.
    return f"{_FOLDER}{file.lstrip('/')}"


def _shown(place: str, file: str) -> Directive:
    inside = [line("internal"), line("default_type", "text/html"), line("alias", Expanding(file))]
    return block("location", "=", place, inside=inside)


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
    page = f"{_CLOSED_FOLDER}{maintenance.page.lstrip('/')}" if maintenance.page else _CLOSED_PLACE
    seconds = str(int(maintenance.retry_after.total_seconds()))
    later = [line("add_header", name, value, "always") for name, value in (*told, ("Retry-After", seconds))]
    inside = [
        block("if", Expression(f"({variable})"), inside=[line("return", "503")]),
        line("error_page", "503", page),
    ]
    if maintenance.page:
        shown = [
            line("internal"),
            line("default_type", "text/html"),
            *later,
            line("alias", Expanding(maintenance.page)),
        ]
        server = [block("location", "=", page, inside=shown)]
    else:
        shown = [*HTML, *later, line("return", "503", Expanding(CLOSED))]
        server = [block("location", page, inside=shown)]
    return before, inside, server


def closed_variable(site: Site) -> str:
    """
    Return the variable that tells who finds a site closed.
    """
    return f"$gatelodge_closed_{hashlib.sha256(site.name.encode()).hexdigest()[:8]}"
