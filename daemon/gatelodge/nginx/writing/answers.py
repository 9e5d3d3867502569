"""
Decides what nginx answers by itself: where it sends visitors, with what of their path, and what it says at once.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from gatelodge.model import Match, Redirect
from gatelodge.nginx.writing.quote import Directive, Expression, Lines, Verbatim, block, line, spell_dollar
from gatelodge.nginx.writing.upstreams import escape_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatelodge.model import Respond, Route, Site

#: What may be escaped in a URL, or means something in a regular expression.
_UNSURE = re.compile(r"[^A-Za-z0-9/_~-]+")


def answer(route: Route, action: Redirect | Respond) -> list[Directive]:
    """
    Return what answers a request.
    """
    if isinstance(action, Redirect):
        return _redirect(route, action)
    return [line("return", str(action.status), *([Lines(action.body)] if action.body else []))]


def kind(action: Redirect | Respond) -> list[Directive]:
    """
    Return what an answer is called: else the end of the path would tell.
    """
    return [] if isinstance(action, Redirect) else [block("types", inside=[]), line("default_type", action.type)]


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
    appended = line("return", code, Expression(f"{target or '/'}$gatelodge_rest"))
    return [block("if", *condition, inside=[appended]), bare]


def slashed(site: Site, route: Route, first: Sequence[Directive]) -> list[Directive]:
    """
    Lead who leaves out the last slash of a route to it, unless a route is there for him. Where nginx passes requests on, it does so
    itself.

    Args:
        first: what may keep him from it.
    """
    bare = route.path.removesuffix("/")
    if route.match is not Match.PREFIX or bare in {"", route.path}:
        return []
    if any(each.path == bare and each.match is not Match.REGEX for each in site.routes):
        return []
    target = Expression(f"{escape_path(route.path)}$is_args$args")
    return [block("location", "=", Verbatim(bare), inside=[*first, line("return", "301", target)])]


def place(word: str, route: Route) -> str:
    """
    Return the name of a location that a route has beside its own.
    """
    identity = hashlib.sha256(f"{route.match} {route.path}".encode()).hexdigest()[:8]
    return f"@gatelodge_{word}_{identity}"
