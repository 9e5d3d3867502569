"""
Turns a report into what `status` shows: a sentence, what is wrong and what to do, then a line for each part. Pure.

What a part's state is, and which comes first, is `standing`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Group
from rich.text import Text

from gatelodge.cli import standing, times, troubles
from gatelodge.cli.layout import grid, hanging, printable, readable
from gatelodge.cli.standing import Kind, Part, State, Tone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rich.console import RenderableType

#: As `model.FILES`, which is not imported for one word: whose certificate it is that the user brings.
_FILES = "files"

STYLES: Mapping[State, str] = {
    State.DOWN: "bold red", State.EXPIRED: "bold red", State.MISSING: "bold red", State.QUARANTINED: "red", State.FAILING: "red",
    State.DAMAGED: "red", State.REVOKED: "red", State.PLACEHOLDER: "yellow", State.EXPIRING: "yellow", State.LACKING: "yellow",
    State.SERVING: "green", State.VALID: "green", State.PLAIN: "green", State.PASSING: "green", State.UNUSED: "dim",
}  # fmt: skip

_TONES: Mapping[Tone, str] = {Tone.GOOD: "bold green", Tone.WORKING: "bold yellow", Tone.BAD: "bold red"}

#: So many routes of a site are shown in a table, and one more rather than "1 more".
_ROUTES_SHOWN = 2

#: From this width on there is room for the day on which certificates end.
_ROOMY = 76

_ADDRESS, _HEADS = "LEADS TO", ("STATE", "RENEWS", "GOOD UNTIL")


def status(document: dict[str, Any], *, width: int) -> RenderableType:
    """
    Return a report for a place of a width, in columns.
    """
    found = standing.parts(document)
    blocks = (
        (headline(document, found, width=width), *_ground(document)),
        _troubles(document, found),
        _sites(document, found, width=width),
        _streams(document, found, width=width),
        _certificates(document, found, width=width),
        _budgets(document, width=width),
    )
    return _spaced(blocks)


def _spaced(blocks: Iterable[Iterable[RenderableType]]) -> RenderableType:
    """
    Put an empty line between blocks that hold anything.
    """
    lines: list[RenderableType] = []
    for block in blocks:
        content = list(block)
        if lines and content:
            lines.append(Text())
        lines += content
    return Group(*lines)


def headline(document: dict[str, Any], found: list[Part], *, width: int) -> Text:
    """
    Return how everything stands in one line.
    """
    told = standing.summary(document, found)
    line = Text(told.text, style=_TONES[told.tone])
    names = [readable(name) for name in told.names]
    if told.tone is Tone.GOOD and names:
        due = next(part for part in found if part.name == told.names[0])
        line.append(f", next renewal {times.relative(due.renew_at, document['time'])} ({names[0]})", style="default")
        return line
    if names:
        line.append(f": {_listed(names, room=width - line.cell_len - 2)}", style="default")
    return line


def _listed(names: list[str], *, room: int) -> str:
    """
    Return names in a row as far as there is room, and how many there are more.
    """
    shown = names[0]
    for place, name in enumerate(names[1:], start=1):
        longer = f"{shown}, {name}"
        more = len(names) - place - 1
        if cell_len(longer) + (len(f" and {more} more") if more else 0) > room:
            return f"{shown} and {len(names) - place} more"
        shown = longer
    return shown


def _ground(document: dict[str, Any]) -> Iterator[Text]:
    """
    Yield what everything stands on: the daemon, nginx, dynamic DNS.
    """
    nginx = document["nginx"]
    line = Text()
    if gone := document.get("daemon_gone_since"):
        line.append(
            f"The daemon has not answered since {times.moment(gone)} ({times.relative(gone, document['time'])}). ",
            style="yellow",
        )
    elif not document.get("daemon", True):
        line.append("The daemon does not run. ", style="yellow")
    if nginx["missing"]:
        line.append(printable(nginx["missing"]), style="red")
    elif not nginx["running"]:
        line.append(f"nginx {nginx['version']} does not run.", style="red")
    else:
        pid = f" (pid {nginx['pid']})" if nginx["pid"] else ""  # others' may be anywhere
        line.append(f"nginx {nginx['version']} runs{pid}, generation {nginx['generation']} ")
        line.append("proven" if nginx["proven"] else "not proven", style="" if nginx["proven"] else "yellow")
        if old := nginx["draining_workers"]:
            line.append(f", {old} old worker{'s finish' if old > 1 else ' finishes'}")
        line.append(".")
    yield line
    if ddns := document.get("ddns"):
        seen = ", ".join(ddns["addresses"].values()) or "not known"
        looked = f", seen {times.relative(ddns['looked_at'], document['time'])}" if ddns["looked_at"] else ""
        names = len({row["host"] for row in ddns["hosts"]})
        yield Text(f"Public address {seen}{looked}, kept for {names} name{'' if names == 1 else 's'}.")


def _sites(document: dict[str, Any], found: list[Part], *, width: int) -> Iterator[RenderableType]:
    now = document["time"]
    rows = [
        (_where(part.own), *_dates(part, now), _leading(part.own["upstreams"]))
        for part in found
        if part.kind is Kind.SITE and part.own
    ]
    yield from _rows(("SITE", *_HEADS, _ADDRESS), rows, width=width)


def _streams(document: dict[str, Any], found: list[Part], *, width: int) -> Iterator[RenderableType]:
    now = document["time"]
    rows = [
        (
            f"{part.name} ({', '.join(part.own['listen'])})",
            *_dates(part, now),
            ", ".join(to if name == "*" else f"{readable(name)} → {to}" for name, to in part.own["upstreams"].items()),
        )
        for part in found
        if part.kind is Kind.STREAM and part.own
    ]
    yield from _rows(("STREAM", *_HEADS, _ADDRESS), rows, width=width)


def _certificates(document: dict[str, Any], found: list[Part], *, width: int) -> Iterator[RenderableType]:
    """
    Yield the certificates that no row above tells of, or that several rows share.
    """
    now = document["time"]
    shared_by = troubles.sharers(found)
    alone = [part for part in found if part.kind is Kind.CERTIFICATE]
    shared = [
        Part(Kind.CERTIFICATE, name, standing.condition(users[0].certificate), None, users[0].certificate)
        for name, users in shared_by.items()
        if users[0].certificate and name not in {part.name for part in users}
    ]
    rows = [(readable(part.name), *_dates(part, now), _from(part.certificate)) for part in [*shared, *alone]]
    yield from _rows(("CERTIFICATE", *_HEADS, "FROM"), rows, width=width)


def _rows(head: tuple[str, ...], rows: list[tuple[Text | str, ...]], *, width: int) -> Iterator[RenderableType]:
    """
    Yield a table; nothing when it has no rows. Where it is narrow the days give way to the distances, which say the same.
    """
    if not rows:
        return
    if width < _ROOMY:
        place = head.index("GOOD UNTIL")
        head = (*head[:place], *head[place + 1 :])
        rows = [(*row[:place], *row[place + 1 :]) for row in rows]
    last = len(head) - 1
    yield grid(head, rows, width=width, elastic=(last, 0), spare=last)


def _where(own: dict[str, Any]) -> str:
    """
    Return what a visitor types, without what he need not.
    """
    return readable(own["urls"][0].removeprefix("https://").removesuffix("/"))


def _dates(part: Part, now: str) -> tuple[Text | str, ...]:
    entry = part.certificate
    state = Text(part.state, style=STYLES[part.state])
    if entry is None:
        return state, "", ""
    if entry["doing"]:
        renews = "now"
    elif entry["ca"] == _FILES and entry["not_after"]:
        renews = "by you"
    elif entry["failure"]:
        renews = times.relative(entry["failure"]["retry_at"], now)
    elif entry["renew_at"] and times.seconds(entry["renew_at"], now) < 0:
        renews = "overdue"
    else:
        renews = times.relative(entry["renew_at"], now)
    return state, renews, times.day(entry["not_after"])


def _leading(routes: dict[str, str]) -> str:
    """
    Say where a site leads: its first routes, and how many more there are.
    """
    told = [to if path == "/" else f"{path} → {to}" for path, to in routes.items()]
    more = len(told) - _ROUTES_SHOWN
    return printable(", ".join(told if more <= 1 else [*told[:_ROUTES_SHOWN], f"{more} more"]))


def _from(entry: dict[str, Any] | None) -> str:
    return (entry["ca"] or "").removeprefix("acme:") if entry else ""


def _budgets(document: dict[str, Any], *, width: int) -> Iterator[RenderableType]:
    """
    Say which limits of CAs are less than half left, or closed by the CA.
    """
    low = [entry for entry in document.get("budgets", ()) if entry["closed_until"] or entry["left"] * 2 < entry["of"]]
    rows = [
        (
            printable(entry["ca"]),
            f"{entry['left']} of {entry['of']}",
            f"closed by the CA until {times.moment(entry['closed_until'])}"
            if entry["closed_until"]
            else f"full {times.relative(entry['full_at'], document['time'])}",
            f"{entry['limit']}{', ' if entry['whose'] else ''}{readable(entry['whose'])}",
        )
        for entry in low
    ]
    if rows:
        yield grid(("CA", "LEFT", "AGAIN", "BUDGET"), rows, width=width, elastic=(3,))


def _troubles(document: dict[str, Any], found: list[Part]) -> Iterator[RenderableType]:
    lines = [*troubles.general(document), *troubles.of_parts(document, found), *troubles.doing(document)]
    if lines:
        yield hanging([(Text(mark, style="red" if mark == "!" else ""), text) for mark, text in lines])
