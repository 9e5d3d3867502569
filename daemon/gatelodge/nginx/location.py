"""
Decides what one route of a site says: how its path is compared, who may come, and what is done there.

A location inherits nothing that matters: what a site says for all its routes is said in each of them.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from gatelodge.model import Files, Guard, Hsts, Match, Pool, Redirect, Respond
from gatelodge.nginx import pages
from gatelodge.nginx.proxying import PROTOCOLS, manners
from gatelodge.nginx.quote import Directive, Expanding, Expression, Raw, Verbatim, block, line, spell_dollar
from gatelodge.nginx.upstreams import escape_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gatelodge.model import Route, Site
    from gatelodge.nginx.ground import Ground
    from gatelodge.nginx.guard import Doorkeepers
    from gatelodge.nginx.quote import Argument, Part
    from gatelodge.nginx.upstreams import Upstreams

_MODIFIERS = {Match.PREFIX: (), Match.EXACT: ("=",), Match.REGEX: ("~",)}

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

#: Files whose name begins with a dot are the machine's business: .git, .env, .htpasswd. RFC 8615 has an exception.
_HIDDEN_FILES = r"/\.(?!well-known/)"


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
    inside += [line("gzip", "on")] if route.transport.gzip and ground.has("http_gzip_module") else []
    shown = (*route.headers.response, *told)
    said = [*_said(route, keepers, told), *pages.in_place_of(route, proxied=isinstance(route.action, Pool))]
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
            inside += [*_files(route, route.action), *_snippet(route)]
            beside = _slashed(site, route)
        case Redirect() | Respond():
            answer = [*_snippet(route), *_answer(route, route.action)]
            # A client that is to send its body elsewhere is told so, however large it is.
            inside.append(line("client_max_body_size", str(route.transport.body_size)))
            if route.guard == Guard():
                inside += answer
            else:
                place = _answering(route)
                inside.append(line("try_files", "", place))
                beside.append(block("location", place, inside=[*said, *answer]))
            beside += _slashed(site, route) if isinstance(route.action, Redirect) else []
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
    said += [line("add_header", name, Expanding(value), "always") for name, value in route.headers.response if value]
    return said + [line("add_header", name, value, "always") for name, value in keepers.cookies(route.guard)]


def _snippet(route: Route) -> list[Part]:
    return [Raw(route.snippet, f"{route.key}.snippet")] if route.snippet else []


def _slashed(site: Site, route: Route) -> list[Directive]:
    """
    Lead who leaves out the last slash of a route to it, unless a route is there for him. Where nginx passes requests on, it does so
    itself.
    """
    bare = route.path.removesuffix("/")
    if route.match is not Match.PREFIX or bare in {"", route.path}:
        return []
    if any(each.path == bare and each.match is not Match.REGEX for each in site.routes):
        return []
    target = Expression(f"{escape_path(route.path)}$is_args$args")
    return [block("location", "=", Verbatim(bare), inside=[line("return", "301", target)])]


def _files(route: Route, files: Files) -> list[Directive]:
    """
    Hand out files. The folder stands for a prefix; below an exact path or a regular expression the whole path is looked for in it.
    """
    whole = route.path == "/" or route.match is not Match.PREFIX
    folder = Expanding(files.root if whole or not route.path.endswith("/") else f"{files.root}/")
    fallback = Expression(f"{spell_dollar(files.fallback)}$is_args$args" if files.fallback else "=404")
    hidden = block("location", "~", Verbatim(_HIDDEN_FILES), inside=[line("return", "404")])
    return [
        line("root" if whole else "alias", folder),
        line("index", *(Expanding(name) for name in files.index)),
        *([line("autoindex", "on"), line("autoindex_exact_size", "off")] if files.listing else []),
        line("charset", "utf-8"),
        line("try_files", *_tried(route, files), fallback),
        # nginx allows no location inside of an exact one, whose path is the user's own choice.
        *([hidden] if route.match is not Match.EXACT else []),
    ]


def _tried(route: Route, files: Files) -> list[Argument]:
    """
    Return which files are looked for. From an exact path nginx would look for the index of a folder at another route, so each is
    named here.
    """
    if route.match is not Match.EXACT:
        return [Expression("$uri"), Expression("$uri/")]
    slashed = route.path.endswith("/")
    indexes = [Expression(f"${{uri}}{'' if slashed else '/'}{spell_dollar(name)}") for name in files.index]
    return [
        *([] if slashed else [Expression("$uri")]),
        *indexes,
        *([Expression("$uri/")] if files.listing else []),
    ]


def _answering(route: Route) -> str:
    """
    Return the place of an answer that is only given to who may come. nginx's `return` comes before it asks that, `try_files` after.
    """
    identity = hashlib.sha256(f"{route.match} {route.path}".encode()).hexdigest()[:8]
    return f"@gatelodge_answer_{identity}"


def _answer(route: Route, action: Redirect | Respond) -> list[Directive]:
    if isinstance(action, Redirect):
        return _redirect(route, action)
    body = [Expanding(action.body)] if action.body else []
    # Else the end of the path would tell the type.
    return [block("types", inside=[]), line("default_type", action.type), line("return", str(action.status), *body)]


def _redirect(route: Route, redirect: Redirect) -> list[Directive]:
    """
    Send visitors elsewhere. What is appended is as it was asked for, escapes and all; nginx's own path is decoded.
    """
    code, url = str(redirect.code), spell_dollar(redirect.url)
    if not redirect.keep_path:
        return [line("return", code, Expression(url))]
    bare = line("return", code, Expression(f"{url}$is_args$args"))
    target = url.rstrip("/")
    if route.match is Match.EXACT:
        return [bare]
    if target and (route.path == "/" or route.match is Match.REGEX):
        return [line("return", code, Expression(f"{target}$request_uri"))]
    prefix = _UNSURE.sub("[^/?]+", route.path.rstrip("/")) if route.match is not Match.REGEX else ""
    # To a browser two slashes begin the name of a host, and a backslash is one (https://url.spec.whatwg.org/#relative-state).
    rest = "(?<gatelodge_rest>/.*)" if target else r"[/\\]+(?<gatelodge_rest>.*)"
    condition = ("(", Expression("$request_uri"), "~", Verbatim(f"^{prefix}{rest}$"), ")")
    answer = line("return", code, Expression(f"{target or '/'}$gatelodge_rest"))
    return [block("if", *condition, inside=[answer]), bare]


#: What may be escaped in a URL, or means something in a regular expression.
_UNSURE = re.compile(r"[^A-Za-z0-9/_~-]+")
