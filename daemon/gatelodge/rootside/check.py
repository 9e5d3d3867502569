"""
Holds one file of a tree against the table, and returns the copy of it that nginx is to read.

The copy has the same lines. What changes is where paths lead: certificates are root's own copies, and tokens are served without
following links, since the daemon may put links there and the workers may read what the daemon may not; and as plain text whatever they
are called, since a page among them would be one of the site's. Pure.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeAlias

from gatelodge.nginx.writing.quote import Expanding, Expression, Verbatim, block, line, quote, write
from gatelodge.rootside.rules import CHALLENGE, ENTRY, NEEDED, PRELUDE, SITE, TLS
from gatelodge.rootside.syntax import HEADER, lines, refusal, shown

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

    from gatelodge.rootside.rules import Ground, Rules
    from gatelodge.rootside.syntax import Line

#: A version of a certificate: NAME and number.
Version: TypeAlias = tuple[str, str]

_CERTIFICATES = ("ssl_certificate", "ssl_certificate_key")


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """
    A file that may be used: its copy, and the certificates that it shows with the line that names each first.
    """

    text: str
    certificates: dict[Version, int]


def context_of(file: str) -> str:
    """
    Return what kind a file of a tree is, by its path in the tree.
    """
    match file.split("/"):
        case ["http.conf"]:
            return ENTRY
        case ["prelude.conf"]:
            return PRELUDE
        case ["sites", _]:
            return SITE
        case ["tls", _]:
            return TLS
        case _:
            return CHALLENGE


def entry(content: bytes, rules: Rules, *, place: str) -> tuple[str, ...]:
    """
    Return the files that a tree's http.conf includes, in order: the prelude first.

    Raises:
        RefusedError: it says anything else.
    """
    included: list[str] = []
    last = 1
    for each, found in _matched(content, rules, ENTRY, place):
        last = each.number
        if each.words[:1] == ("include",):
            site = found["site"] if found else None
            included.append(f"sites/{site}.conf" if site else "prelude.conf")
    if included[:1] != ["prelude.conf"] or len(set(included)) != len(included):
        raise refusal("a tree that includes not the prelude first, and each file once,", place, last)
    return tuple(included)


def write_entry(included: Iterable[str], number: int, *, copy: str) -> str:
    """
    Write http.conf of the copy, line by line as the tree's is.

    Args:
        copy: the copy's folder.
    """
    geo = block("geo", Expression("$gatelodge_generation"), inside=[line("default", str(number))])
    return f"{HEADER}\n{write([geo, *(line('include', f'{copy}/{each}') for each in included)])}"


def check(content: bytes, rules: Rules, ground: Ground, *, file: str, place: str, copy: str) -> Checked:
    """
    Check a file, and return its copy.

    Args:
        file: its path in the tree.
        place: what it is called in a refusal.
        copy: the copy's folder.

    Raises:
        RefusedError: it says what Gatelodge would not say.
    """
    rows = content.decode(errors="replace").split("\n")
    certificates: dict[Version, int] = {}
    for each, found in _matched(content, rules, context_of(file), place):
        row = rows[each.number - 1]
        indent = " " * (len(row) - len(row.lstrip(" ")))
        if found and each.words[0] in _CERTIFICATES:
            version = (found["name"], found["version"])
            certificates.setdefault(version, each.number)
            path = f"{copy}/{certificate_path(version)}/{each.words[1].rpartition('/')[2]}"
            rows[each.number - 1] = f"{indent}{each.words[0]} {quote(Verbatim(path))};"
        elif found and each.words[0] == "root":
            root, start = quote(Expanding(ground.webroot)), quote(Expanding(f"from={ground.trusted}"))
            rows[each.number - 1] = f"{indent}root {root}; disable_symlinks on {start}; types {{ }}"
    return Checked("\n".join(rows), certificates)


def certificate_path(version: Version) -> str:
    """
    Return where a certificate's files lie in the copy, as in the state directory.
    """
    return f"certificates/{version[0]}/versions/{version[1]}"


def _matched(content: bytes, rules: Rules, context: str, place: str) -> Iterable[tuple[Line, re.Match[str] | None]]:
    """
    Yield each line with how it matched.
    """
    stack: list[tuple[str, set[str]]] = [(context, set())]
    for each in lines(content, place):
        if each.closes:
            inside, said = stack.pop()
            needed = NEEDED.get(inside, frozenset())
            if needed and said.isdisjoint(needed):
                raise refusal(f"a {inside} block without {' or '.join(sorted(needed))}", place, each.number)
            continue
        inside, said = stack[-1]
        said |= {each.words[0], " ".join(each.words)}
        found = rules.match(each.words, inside, opens=each.opens)
        if found is None:
            known = rules.knows(each.words[0])
            why = "not as Gatelodge writes it, or not there," if known else "which is none of Gatelodge's directives,"
            raise refusal(f"{shown(' '.join(each.words))}, {why}", place, each.number)
        if each.opens:
            stack.append((found[1], set()))
        yield each, found[0]
