"""
Decides what is done with a request at a path: passed on, answered with a file, sent elsewhere, or answered at once. It is one of
these; a route that says none does what its site does, at its own path.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING
from urllib.parse import quote as percent_encode

from gatelodge.config.document.fields import given
from gatelodge.config.sections import upstreams
from gatelodge.config.values import texts
from gatelodge.model import Files, Match, Pool, Redirect, Respond

if TYPE_CHECKING:
    from gatelodge.config.document.site_tables import ManyRoutes, RedirectTable, RespondTable, StaticTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.model import Action

KEYS = ("upstream", "static", "redirect_to", "respond")

#: RFC 3986 §3.3: what may stand in a path as it is.
_UNESCAPED = "/:@!$&'()*+,;=-._~"

#: Statuses that have no body (RFC 9110 §15.3.5, §15.3.6), and nginx's word for no answer at all.
_WITHOUT_BODY = frozenset({204, 205, 444})


def written(path: Path, table: ManyRoutes, found: Mistakes) -> list[str]:
    """
    Return which of the actions a table has, also those that could not be read.
    """
    return [key for key in KEYS if getattr(table, key) is not None or found.unread((*path, key))]


def own(
    path: Path, table: ManyRoutes, place: tuple[Match, str], around: ManyRoutes | None, found: Mistakes
) -> Action | None:
    """
    Return what a table says is done; None when it says nothing, or nothing that can be read.

    Args:
        place: how the path is compared, and the path.
        around: the site of a route.
    """
    there = written(path, table, found)
    if len(there) > 1:
        found.add_unread(
            path, f"it has both {there[0]} and {there[1]}, and one request has one answer", "leave one of the two out"
        )
        return None
    match there:
        case ["upstream"]:
            return upstreams.pool(path, table, around, found)
        case ["static"] if table.static:
            return _files((*path, "static"), table.static, place, found)
        case ["redirect_to"] if table.redirect_to:
            return _redirect((*path, "redirect_to"), table.redirect_to, place, found)
        case ["respond"] if table.respond:
            return _respond((*path, "respond"), table.respond, found)
    return None


def inherited(path: Path, action: Action, place: tuple[Match, str], found: Mistakes) -> Action:
    """
    Return what a site's action, which is written for `/`, is at the path of one of its routes.
    """
    match, prefix = place
    whole = match is Match.REGEX
    beneath = percent_encode(prefix.removeprefix("/"), safe=_UNESCAPED)
    match action:
        case Pool() if action.first.path in {None, "/"}:
            return _repathed(action, None)
        case Pool() if whole:
            found.add(
                path,
                f"the site's upstream has a path, {action.first.path}, which a regular expression cannot replace",
                "give this route an upstream of its own, without a path",
            )
            return action
        case Pool():
            return _repathed(action, f"{action.first.path}{beneath}")
        case Redirect() if action.keep_path and not whole and beneath:
            return dataclasses.replace(action, url=f"{action.url.rstrip('/')}/{beneath}")
        case Files() if match is Match.PREFIX and beneath:
            root = f"{action.root}{prefix}".removesuffix("/")
            if texts.as_written(root) > texts.LONGEST_WRITTEN:
                found.add(path, "the site's folder and this path together are longer than nginx takes", "shorten one")
            return dataclasses.replace(action, root=root)
    return action


def stripped(action: Pool) -> Pool:
    """
    Return an upstream to which the path of its route is not passed on.
    """
    return _repathed(action, "/")


def at_port(action: Pool, port: int) -> Pool:
    """
    Return an upstream whose servers listen on another port.
    """
    return dataclasses.replace(
        action,
        servers=tuple(
            dataclasses.replace(each, upstream=dataclasses.replace(each.upstream, port=port)) for each in action.servers
        ),
    )


def _repathed(action: Pool, path: str | None) -> Pool:
    return dataclasses.replace(
        action,
        servers=tuple(
            dataclasses.replace(each, upstream=dataclasses.replace(each.upstream, path=path)) for each in action.servers
        ),
    )


def _files(path: Path, table: StaticTable, place: tuple[Match, str], found: Mistakes) -> Files | None:
    match, prefix = place
    if table.root is None:
        if not found.unread(path):
            found.add(path, "it names no folder", 'write static = "/srv/www"')
        return None
    if match is Match.PREFIX and not prefix.endswith("/"):
        found.add(
            path,
            f"folders beside it whose names begin alike would be open too: {prefix} is the beginning of {prefix}-old",
            f'write the route as "{prefix}/"',
        )
    if table.index == () and not found.unread((*path, "index")):
        found.add((*path, "index"), "it is empty", 'write ["index.html"], or leave it out')
    if table.fallback is not None and match is Match.PREFIX and not table.fallback.startswith(prefix):
        found.add(
            (*path, "fallback"),
            f"{table.fallback} is no path below {prefix}, where these files are",
            f'write "{prefix.removesuffix("/")}/index.html", or what is there',
        )
    return Files(root=table.root, **given(table, "index", "fallback", "listing"))


def _redirect(path: Path, table: RedirectTable, place: tuple[Match, str], found: Mistakes) -> Redirect | None:
    if table.url is None:
        if not found.unread(path):
            found.add(path, "it does not say where to", 'write redirect_to = "https://www.example.com"')
        return None
    # A regular expression stands for no path after which something could be left; a query ends a URL.
    elsewhere = not table.url.startswith("/")
    keeps = "?" not in table.url and (elsewhere or place[0] is not Match.REGEX)
    if table.keep_path and "?" in table.url:
        found.add((*path, "keep_path"), "nothing can be appended to a URL with a query", "write keep_path = false")
    keep = keeps if table.keep_path is None else table.keep_path
    return Redirect(url=table.url, keep_path=keep, **given(table, "code"))


def _respond(path: Path, table: RespondTable, found: Mistakes) -> Respond:
    status = table.status or Respond().status
    if table.body and status in _WITHOUT_BODY:
        found.add((*path, "body"), f"an answer with the status {status} has no body", "leave it out")
    return Respond(status=status, **given(table, "body", "type"))
