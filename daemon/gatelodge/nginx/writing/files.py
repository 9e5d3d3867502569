"""
Decides how nginx hands out files: which one a path names, what answers in its place, and, where `http {}` is ours, what kind each is
called and how it is sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gatelodge.model import Match
from gatelodge.nginx.writing.answers import place
from gatelodge.nginx.writing.quote import Directive, Expanding, Expression, Verbatim, block, line, spell_dollar

if TYPE_CHECKING:
    from gatelodge.model import Files, Route, Site
    from gatelodge.nginx.writing.quote import Argument

#: Kinds of files by the ends of their names (https://www.iana.org/assignments/media-types/).
_TYPES = (
    ("text/html", "html htm"),
    ("text/css", "css"),
    ("text/javascript", "js mjs"),
    ("text/plain", "txt log"),
    ("text/markdown", "md"),
    ("text/csv", "csv"),
    ("text/calendar", "ics"),
    ("text/vtt", "vtt"),
    ("application/json", "json map"),
    ("application/manifest+json", "webmanifest"),
    ("application/xml", "xml"),
    ("application/atom+xml", "atom"),
    ("application/rss+xml", "rss"),
    ("application/pdf", "pdf"),
    ("application/wasm", "wasm"),
    ("application/zip", "zip"),
    ("application/gzip", "gz tgz"),
    ("application/epub+zip", "epub"),
    ("image/avif", "avif"),
    ("image/gif", "gif"),
    ("image/jpeg", "jpg jpeg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg svgz"),
    ("image/webp", "webp"),
    ("image/x-icon", "ico"),
    ("font/otf", "otf"),
    ("font/ttf", "ttf"),
    ("font/woff", "woff"),
    ("font/woff2", "woff2"),
    ("audio/aac", "aac"),
    ("audio/flac", "flac"),
    ("audio/mpeg", "mp3"),
    ("audio/mp4", "m4a"),
    ("audio/ogg", "oga ogg opus"),
    ("audio/wav", "wav"),
    ("video/mp4", "mp4 m4v"),
    ("video/ogg", "ogv"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
    ("video/x-matroska", "mkv"),
)

FILES = (
    line("sendfile", "on"),
    line("tcp_nopush", "on"),
    line("default_type", "application/octet-stream"),
    block("types", inside=[line(kind, *ends.split()) for kind, ends in _TYPES]),
)

#: Files whose name begins with a dot are the machine's business: .git, .env, .htpasswd. RFC 8615 has an exception.
_HIDDEN_FILES = r"/\.(?!well-known/)"


def handing_out(site: Site, route: Route, files: Files) -> tuple[list[Directive], list[Directive]]:
    """
    Hand out files: return what stands in the location, and what beside it. The folder stands for a prefix; below an exact path or a
    regular expression the whole path is looked for in it.
    """
    last, beside = _fallback(site, route, files)
    whole = _is_whole(route)
    folder = Expanding(files.root if whole or not route.path.endswith("/") else f"{files.root}/")
    hidden = block("location", "~", Verbatim(_HIDDEN_FILES), inside=[line("return", "404")])
    inside = [
        line("root" if whole else "alias", folder),
        line("index", *(Expanding(name) for name in files.index)),
        *([line("autoindex", "on"), line("autoindex_exact_size", "off")] if files.listing else []),
        line("charset", "utf-8"),
        line("try_files", *_tried(route, files), *last),
        # nginx allows no location inside of an exact one, whose path is the user's own choice.
        *([hidden] if route.match is not Match.EXACT else []),
    ]
    return inside, beside


def _is_whole(route: Route) -> bool:
    return route.path == "/" or route.match is not Match.PREFIX


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


def _fallback(site: Site, route: Route, files: Files) -> tuple[list[Argument], list[Directive]]:
    """
    Return what answers for what is not there, and what stands beside the location for it.

    A file of the route's own is one more to look for: were it asked for anew and not there, nginx would go round in circles. What
    belongs to another route, a script for one, is asked for anew, with the query.
    """
    path = files.fallback
    if path is None:
        return ["=404"], []
    if not path.endswith("/") and _chosen(site, path) is route:
        return [Expanding(path if _is_whole(route) else path.removeprefix(route.path)), "=404"], []
    if _is_whole(route):
        return [Expression(f"{spell_dollar(path)}$is_args$args")], []
    # Behind an alias nginx takes the prefix away from a last word with variables (https://trac.nginx.org/nginx/ticket/97).
    named = place("fallback", route)
    return [named], [block("location", named, inside=[line("rewrite", "^", Expression(spell_dollar(path)), "last")])]


def _chosen(site: Site, path: str) -> Route | None:
    """
    Return the route that nginx chooses for a path.
    """
    exact = [each for each in site.routes if each.match is Match.EXACT and each.path == path]
    regex = [each for each in site.routes if each.match is Match.REGEX and _may_match(each.path, path)]
    prefix = [each for each in site.routes if each.match is Match.PREFIX and path.startswith(each.path)]
    prefix.sort(key=lambda each: len(each.path), reverse=True)
    return next(iter((*exact, *regex, *prefix)), None)


def _may_match(expression: str, path: str) -> bool:
    """
    Tell whether an expression matches a path, as far as that can be known: nginx's dialect is another one.
    """
    try:
        return re.search(expression, path) is not None
    except re.error:
        return True
