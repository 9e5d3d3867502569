"""
Turns a site's paths into routes: each with what is done there, and with what it inherits of its site.

nginx chooses a route as it always does: an exact path first, then the first regular expression, then the longest prefix.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.config.keys import written
from gatelodge.config.mistakes import Unreadable
from gatelodge.config.sections import actions, levels, upstreams
from gatelodge.config.shape import SnippetFile
from gatelodge.config.values import patterns, snippets, texts
from gatelodge.model import Match, Pool, Route

if TYPE_CHECKING:
    from gatelodge.config.document.site_tables import RouteTable, SiteTable
    from gatelodge.config.keys import Path
    from gatelodge.config.mistakes import Mistakes
    from gatelodge.config.sections.levels import Known, Level
    from gatelodge.model import Action, Name

#: Paths of ours on every site: what nginx asks itself, and where the proof and the pages of a site are.
_RESERVED = ("/.gatelodge/", "/.well-known/gatelodge/")

_ROOT = (Match.PREFIX, "/")


@dataclasses.dataclass(kw_only=True)
class _Reader:
    """
    Reads the routes of one site. `own` is what the site itself does, `level` what it says for all its routes.
    """

    name: Name
    path: Path
    table: SiteTable
    known: Known
    found: Mistakes
    own: Action | None = None
    level: Level = dataclasses.field(default_factory=levels.Level)
    routes: dict[tuple[Match, str], Route] = dataclasses.field(default_factory=dict)
    files: list[SnippetFile] = dataclasses.field(default_factory=list)


def read(
    name: Name, path: Path, table: SiteTable, known: Known, found: Mistakes
) -> tuple[tuple[Route, ...], tuple[SnippetFile, ...]]:
    """
    Return a site's routes, the one for `/` that is its own first, and those of their snippets that stand in files.
    """
    level = levels.level(path, table, known, found)
    levels.satisfied(path, table, level, found)
    reader = _Reader(name=name, path=path, table=table, known=known, found=found, level=level)
    reader.own = actions.own(path, table, _ROOT, None, found)
    if reader.own is not None:
        reader.routes[_ROOT] = Route(path="/", action=reader.own, key=written(path), **level.parts())
    for text, inner in table.routes.items():
        _add(reader, text, inner)
    routes = tuple(reader.routes.values())
    pools = [each.action for each in routes if isinstance(each.action, Pool)]
    upstreams.fits(path, table, pools, found)
    if not (reader.own or table.routes or actions.written(path, table, found) or found.unread((*path, "routes"))):
        found.add(path, "it leads nowhere", 'write upstream = "http://…", static, redirect_to, respond, or routes')
    return routes, tuple(reader.files)


def _add(reader: _Reader, text: str, table: RouteTable) -> None:
    found, path = reader.found, (*reader.path, "routes", text)
    if found.unread((*path, "match")):
        return
    match = table.match or Match.PREFIX
    place = _place(path, match, text, found)
    if place is None:
        return
    action = _action(reader, path, table, place)
    if action is None:
        return
    place, action = _stripped(path, table, place, action, found)
    own = levels.level(path, table, reader.known, found)
    whole = own.below(reader.level)
    levels.satisfied(path, table, whole, found)
    upstreams.fits(path, table, [action] if isinstance(action, Pool) else [], found)
    snippet, file = snippets.read((*path, "snippet"), table.snippet, found)
    if _is_taken(reader, path, table, place):
        return
    if file is not None:
        where = list(reader.routes).index(place) if place in reader.routes else len(reader.routes)
        at = (*path, "snippet")
        reader.files.append(SnippetFile(path=at, file=file, line=found.line(at), site=reader.name, route=where))
    reader.routes[place] = Route(
        path=place[1], match=match, action=action, snippet=snippet, key=written(path), **whole.parts()
    )


def _place(path: Path, match: Match, text: str, found: Mistakes) -> tuple[Match, str] | None:
    """
    Return how the path of a route is compared, and the path; None when it is none.
    """
    try:
        text = patterns.expression(text) if match is Match.REGEX else texts.route(text)
    except Unreadable as error:
        found.add_unread(path, error.problem, error.remedy)
        return None
    if match is not Match.REGEX and text.startswith(_RESERVED):
        found.add_unread(path, "it is a path of Gatelodge's own", "choose another")
        return None
    return match, text


def _action(reader: _Reader, path: Path, table: RouteTable, place: tuple[Match, str]) -> Action | None:
    """
    Return what is done at a route: what it says itself, else what its site does.
    """
    found = reader.found
    there = actions.written(path, table, found)
    own = actions.own(path, table, place, reader.table, found)
    if table.port is not None and not found.unread((*path, "port")):
        return _at_port(reader, path, table, place, there)
    if own is not None:
        _replaces_fitly((*path, "upstream"), own, place, found)
        return own
    if there or (actions.written(reader.path, reader.table, found) and reader.own is None):
        return None  # what is wrong was said
    if reader.own is None:
        found.add(path, "it leads nowhere", 'write upstream = "http://…", static, redirect_to or respond')
        return None
    return actions.inherited(path, reader.own, place, found)


def _at_port(
    reader: _Reader, path: Path, table: RouteTable, place: tuple[Match, str], there: list[str]
) -> Action | None:
    at = (*path, "port")
    if there:
        reader.found.add(
            at, f"it is a port of the site's upstream, and the route has {there[0]}", "leave out one of the two"
        )
    elif isinstance(reader.own, Pool) and table.port is not None:
        if any(each.upstream.socket is not None for each in reader.own.servers):
            reader.found.add(at, "the site's upstream is a socket, which has no ports", "write an upstream here")
        inherited = actions.inherited(path, reader.own, place, reader.found)
        return actions.at_port(inherited, table.port) if isinstance(inherited, Pool) else None
    elif not actions.written(reader.path, reader.table, reader.found) or reader.own is not None:
        reader.found.add(at, "the site has no upstream of which it could be a port", 'write upstream = "http://…" here')
    return None


def _replaces_fitly(path: Path, action: Action, place: tuple[Match, str], found: Mistakes) -> None:
    """
    Note a path in an upstream behind a regular expression, which has no beginning that it could replace.
    """
    if isinstance(action, Pool) and place[0] is Match.REGEX and action.first.path is not None:
        found.add(path, f"{action.first} has a path, which a regular expression cannot replace", "leave the path out")


def _stripped(
    path: Path, table: RouteTable, place: tuple[Match, str], action: Action, found: Mistakes
) -> tuple[tuple[Match, str], Action]:
    """
    Take the route's path away from what the upstream is asked, if that is wanted.

    A prefix without a final slash gets one: else `/app` would take `/appendix` too, and ask the upstream for `/endix`. nginx itself
    sends visitors of `/app` to `/app/` then.
    """
    at, (match, prefix) = (*path, "strip"), place
    if not table.strip:
        return place, action
    if match is not Match.PREFIX:
        found.add(at, f"a path is taken away from its beginning, and this one is {match}", "leave one of the two out")
    elif not isinstance(action, Pool) or action.first.scheme not in {"http", "https"}:
        found.add(at, "there is no http upstream here that could be asked for another path", "leave it out")
    elif action.first.path not in {None, "/"}:
        found.add(at, f"{action.first} has a path, which replaces the route's already", "leave one of the two out")
    else:
        return (match, prefix if prefix.endswith("/") else f"{prefix}/"), actions.stripped(action)
    return place, action


def _is_taken(reader: _Reader, path: Path, table: RouteTable, place: tuple[Match, str]) -> bool:
    """
    Tell whether there is such a route already. One for `/` that only says more than its site takes the place of the site's own.
    """
    if place not in reader.routes:
        return False
    if place == _ROOT:
        if not actions.written(path, table, reader.found) and table.port is None:
            return False
        there = actions.written(reader.path, reader.table, reader.found)[0]
        reader.found.add(path, f"the site has {_articled(there)} for / already", "leave out one of the two")
    else:
        reader.found.add(path, f"there is a route {place[1]} already", "make one of the two")
    return True


def _articled(word: str) -> str:
    return f"an {word}" if word.startswith("u") else f"a {word}"
