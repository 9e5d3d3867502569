"""
Decides what one route of a site says: how its path is compared, who may come, and what is done there.

A location inherits nothing that matters: what a site says for all its routes is said in each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.model import Files, Guard, Hsts, Match, Pool, Redirect, Respond
from gatelodge.nginx.writing import answers, files, pages
from gatelodge.nginx.writing.proxying import PROTOCOLS, manners
from gatelodge.nginx.writing.quote import Directive, Expanding, Expression, Raw, Verbatim, block, line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gatelodge.model import Route, Site
    from gatelodge.nginx.writing.ground import Ground
    from gatelodge.nginx.writing.guard import Doorkeepers
    from gatelodge.nginx.writing.quote import Argument, Part
    from gatelodge.nginx.writing.upstreams import Upstreams

_MODIFIERS = {Match.PREFIX: (), Match.EXACT: ("=",), Match.REGEX: ("~",)}

_KIND = "content-type"

#: A year, and two, which the preload list wants at least half of (https://hstspreload.org).
_HSTS = {
    Hsts.ON: "max-age=31536000",
    Hsts.PRELOAD: "max-age=63072000; includeSubDomains; preload",
}

#: What browsers are told for safety's sake where the upstream does not speak of it: each is a variable that is empty when it does.
#: A browser takes the stricter of two, but not of every header, so there is never a second.
SECURITY = (
    ("X-Content-Type-Options", "$gatelodge_nosniff", "nosniff"),
    ("X-Frame-Options", "$gatelodge_frames", "SAMEORIGIN"),
    ("Referrer-Policy", "$gatelodge_referrer", "strict-origin-when-cross-origin"),
)


def locations(
    site: Site,
    route: Route,
    *,
    upstreams: Upstreams,
    keepers: Doorkeepers,
    ground: Ground,
    told: Sequence[tuple[str, str]],
) -> list[Directive]:
    """
    Write a route: a location, and what else it takes.

    Args:
        told: headers that every answer of this server has.

    Raises:
        ValueError: something of it cannot be written for this nginx.
    """
    path: Argument = Verbatim(route.path)
    if route.match is not Match.REGEX and not route.path.startswith("/"):
        raise ValueError(f"the route {route.path!r} does not begin with a slash")
    closed = pages.closing(site.maintenance, site)[1] if site.maintenance else []
    inside: list[Part] = [*closed, *keepers.keeping(route.guard)]
    shown = (*route.headers.response, *told)
    said = [line("gzip", "on")] if route.transport.gzip and ground.has("http_gzip_module") else []
    said += [*_said(route, keepers, told), *pages.in_place_of(route, proxied=isinstance(route.action, Pool))]
    inside += [*said, *keepers.turning_away(route.guard)]
    beside: list[Directive] = []
    match route.action:
        case Pool():
            protocol = PROTOCOLS[route.action.first.scheme]
            inside += [protocol.line("intercept_errors", "on")] if route.error_pages else []
            inside += manners(route, route.action, ground, identity=keepers.identity(route.guard), shown=shown)
            inside += _snippet(route)
            inside += upstreams.passing(route, route.action)
        case Files():
            handed, beside = files.handing_out(site, route, route.action)
            inside += [*handed, *_kind(route), *_snippet(route)]
            beside += answers.slashed(site, route, closed)
        case Redirect() | Respond():
            answer = [
                *_snippet(route),
                *(_kind(route) or answers.kind(route.action)),
                *answers.answer(route, route.action),
            ]
            # A client that is to send its body elsewhere is told so, however large it is.
            inside.append(line("client_max_body_size", str(route.transport.body_size)))
            if route.guard == Guard():
                inside += answer
            else:
                # `return` comes before nginx asks who may come in, `try_files` after it.
                place = answers.place("answer", route)
                inside.append(line("try_files", "", place))
                beside.append(block("location", place, inside=[*said, *answer]))
            beside += answers.slashed(site, route, closed) if isinstance(route.action, Redirect) else []
    return [block("location", *_MODIFIERS[route.match], path, inside=inside, remark=route.key), *beside]


def needs_unreachable(routes: Iterable[Route]) -> bool:
    """
    Tell whether some route passes on, and may find nobody.
    """
    return any(isinstance(route.action, Pool) for route in routes)


def hsts(site: Site, *, placeholder: bool) -> list[tuple[str, str]]:
    """
    Return the header by which browsers are told to come by https alone. A browser that was shown a stand-in is told nothing: it
    would let nobody go on.
    """
    return [("Strict-Transport-Security", _HSTS[site.hsts])] if site.hsts is not Hsts.OFF and not placeholder else []


def _said(route: Route, keepers: Doorkeepers, told: Sequence[tuple[str, str]]) -> list[Directive]:
    """
    Return the headers of every answer. nginx leaves out those without a value.
    """
    own = {name.lower() for name, _ in route.headers.response}
    said = [line("add_header", name, value, "always") for name, value in told if name.lower() not in own]
    if route.headers.security:
        said += [
            line("add_header", name, Expression(variable), "always")
            for name, variable, _ in SECURITY
            if name.lower() not in own
        ]
    said += [
        line("add_header", name, Expanding(value), *_whenever(name))
        for name, value in route.headers.response
        if value and (isinstance(route.action, Pool) or name.lower() != _KIND)
    ]
    return said + [line("add_header", name, value, "always") for name, value in keepers.cookies(route.guard)]


def _whenever(name: str) -> list[str]:
    """
    Say a header in answers of any status; but nginx's own of errors have a type already, and there is one in an answer.
    """
    return ["always"] if name.lower() != _KIND else []


def _kind(route: Route) -> list[Directive]:
    """
    Return how nginx calls what it answers itself, where the user says so.
    """
    said = next((value for name, value in route.headers.response if name.lower() == _KIND), "")
    return [block("types", inside=[]), line("default_type", Verbatim(said))] if said else []


def _snippet(route: Route) -> list[Part]:
    return [Raw(route.snippet, f"{route.key}.snippet")] if route.snippet else []
