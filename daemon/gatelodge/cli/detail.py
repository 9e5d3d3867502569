"""
Turns one part of a report into all that is known of it, for `status NAME`. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from gatelodge.cli import overview, times, troubles
from gatelodge.cli.layout import hanging, printable, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from gatelodge.cli.standing import Part


def part(document: dict[str, Any], chosen: Part) -> RenderableType:
    """
    Return all that a report says of a part.
    """
    head = Text(readable(chosen.name), style="bold").append(f"  {chosen.state}", style=overview.STYLES[chosen.state])
    facts = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0), collapse_padding=True)
    facts.add_column(no_wrap=True, style="dim")
    facts.add_column(overflow="fold")
    last = ""
    for name, value in [*_own(chosen), *_certificate(chosen, document["time"])]:
        facts.add_row("" if name == last else name, Text(value))
        last = name
    wrong = [(Text("!", style="red"), text) for text in troubles.of_part(chosen, document["time"])]
    return Group(head, *([hanging(wrong)] if wrong else []), facts)


def _own(chosen: Part) -> Iterator[tuple[str, str]]:
    own = chosen.own
    if own is None:
        return
    for url in own.get("urls", ()):
        yield "address", readable(url)
    if own.get("listen"):
        yield "listens", ", ".join(own["listen"])
    if own["hosts"]:
        yield "hosts", ", ".join(map(_both, own["hosts"]))
    for path, to in own["upstreams"].items():
        yield "leads to", f"{readable(path)} → {printable(to)}"


def _certificate(chosen: Part, now: str) -> Iterator[tuple[str, str]]:
    entry = chosen.certificate
    if entry is None:
        return
    yield "certificate", readable(entry["certificate"])
    yield "names", ", ".join(map(_both, entry["names"]))
    if entry["ca"]:
        more = [ca.removeprefix("acme:") for ca in entry.get("cas", ()) if ca != entry["ca"]]
        yield "from", entry["ca"].removeprefix("acme:") + (f", else {', '.join(more)}" if more else "")
    if entry["not_after"]:
        until, ends = times.moment(entry["not_after"]), times.relative(entry["not_after"], now)
        yield "good", f"{times.moment(entry['not_before'])} to {until} ({ends})"
    if entry["renew_at"]:
        yield "renews", f"{times.moment(entry['renew_at'])} ({times.relative(entry['renew_at'], now)})"
    if suggested := entry["suggested"]:
        why = f", see {printable(suggested['explanation'])}" if suggested["explanation"] else ""
        yield "its CA says", f"between {times.moment(suggested['start'])} and {times.moment(suggested['end'])}{why}"
    if entry["serial"]:
        yield "serial", f"{entry['serial']}, version {entry['version']} here"
    for copy in entry.get("exports", ()):
        yield "copy", f"{printable(copy['place'])} ({copy['format']}), {copy['state']}"
    if doing := entry["doing"]:
        yield "now", f"{readable(doing['step'])} ({times.stopwatch(-times.seconds(doing['since'], now))})"
    if failure := entry["failure"]:
        yield "failed", f"{times.moment(failure['at'])} ({times.relative(failure['at'], now)})"


def _both(name: str) -> str:
    """
    Write a name as people and as programs write it, where that differs.
    """
    return name if readable(name) == name else f"{readable(name)} ({name})"
