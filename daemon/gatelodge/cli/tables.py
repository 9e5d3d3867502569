"""
Turns reports and events into text that reads well in a terminal.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import click

from gatelodge.model import FILES

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLOURS = {
    "kept": "green", "trouble": "yellow", "serving": "green", "valid": "green", "plain": "green", "passing": "green", "placeholder": "yellow", "unused": "bright_black",
    "missing": "red", "expired": "red", "down": "red", "quarantined": "red", "error": "red", "warning": "yellow",
}  # fmt: skip

_URGENCY = (
    "down",
    "expired",
    "missing",
    "quarantined",
    "placeholder",
    "valid",
    "serving",
    "plain",
    "passing",
    "unused",
)

#: So many routes of a site are shown in a table, and one more rather than "1 more".
_ROUTES_SHOWN = 2

_DAY = 86400
_HIDDEN_FIELDS = ("id", "time", "level", "event")


def dump(document: dict[str, Any]) -> str:
    """
    Return JSON on one line.
    """
    return json.dumps(document, ensure_ascii=False)


def moment(text: str | None) -> str:
    """
    Return a time as a person reads it: local, to the minute.
    """
    return dt.datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M") if text else ""


def relative(text: str | None, now: str) -> str:
    """
    Return a time as a distance from now: "in 12 d", "3 h ago".
    """
    if not text:
        return ""
    seconds = (dt.datetime.fromisoformat(text) - dt.datetime.fromisoformat(now)).total_seconds()
    size = abs(seconds)
    number, unit = next(
        (size / length, unit)
        for length, unit in ((_DAY, "d"), (3600, "h"), (60, "min"), (1, "s"))
        if size >= length or length == 1
    )
    return f"in {number:.0f} {unit}" if seconds >= 0 else f"{number:.0f} {unit} ago"


def status(document: dict[str, Any]) -> str:
    """
    Return a report as text: nginx, sites, certificates, and what is wrong.
    """
    lines = [_nginx_line(document), ""]
    now = document["time"]
    sites = sorted(document["sites"], key=lambda site: _URGENCY.index(site["state"]))
    if sites:
        rows = [
            (
                site["urls"][0],
                _coloured(site["state"]),
                _leading(site["upstreams"]),
            )
            for site in sites
        ]
        lines += [*_table(("SITE", "STATE", "LEADS TO"), rows), ""]
    lines += _streams(document)
    certificates = sorted(document["certificates"], key=lambda entry: _URGENCY.index(entry["state"]))
    if certificates:
        rows4 = [
            (
                entry["certificate"],
                _coloured(entry["state"]),
                entry["ca"] or "",
                f"{moment(entry['not_after'])} ({relative(entry['not_after'], now)})" if entry["not_after"] else "",
                "by you" if entry["ca"] == FILES and entry["not_after"] else relative(entry["renew_at"], now),
            )
            for entry in certificates
        ]
        lines += [*_table(("CERTIFICATE", "STATE", "FROM", "GOOD UNTIL", "RENEWS"), rows4), ""]
    lines += _budgets(document)
    lines += _troubles(document)
    return "\n".join(lines).rstrip()


def _streams(document: dict[str, Any]) -> list[str]:
    """
    Return the table of streams; nothing when there are none.
    """
    streams = sorted(document.get("streams", ()), key=lambda stream: _URGENCY.index(stream["state"]))
    rows = [
        (
            stream["stream"],
            ", ".join(stream["listen"]),
            _coloured(stream["state"]),
            ", ".join(to if name == "*" else f"{name} → {to}" for name, to in stream["upstreams"].items()),
        )
        for stream in streams
    ]
    return [*_table(("STREAM", "LISTENS", "STATE", "UPSTREAMS"), rows), ""] if rows else []


def ddns(document: dict[str, Any]) -> str:
    """
    Return how dynamic DNS stands as text: the addresses, each host, and what is wrong.
    """
    now, found = document["time"], document["ddns"]
    daemon = "" if document.get("daemon", True) else click.style("The daemon does not run. ", fg="yellow")
    seen = ", ".join(found["addresses"].values()) or "not known"
    looked = f", seen {relative(found['looked_at'], now)}" if found["looked_at"] else ""
    lines = [f"{daemon}Public address: {seen}{looked}; kept through {found['provider']}."]
    rows = [
        (
            printable(row["host"]),
            row["type"],
            row["address"] or "",
            relative(row["changed_at"], now),
            _coloured("trouble" if row["problem"] else "kept"),
        )
        for row in found["hosts"]
    ]
    if rows:
        lines += ["", *_table(("HOST", "TYPE", "ADDRESS", "CHANGED", "STATE"), rows)]
    lines += [f"! {printable(row['problem'])}" for row in found["hosts"] if row["problem"]]
    if failure := found["failure"]:
        again = relative(failure["retry_at"], now)
        lines.append(f"! {printable(failure['error.detail'])} (failed {failure['failures']} times, next try {again})")
    return "\n".join(lines)


def _leading(routes: dict[str, str]) -> str:
    """
    Say where a site leads: its first routes, and how many more there are.
    """
    told = [f"{path} → {to}" for path, to in routes.items()]
    more = len(told) - _ROUTES_SHOWN
    return ", ".join(told if more <= 1 else [*told[:_ROUTES_SHOWN], f"{more} more"])


def event(entry: dict[str, Any]) -> str:
    """
    Return an event as one line.
    """
    fields = " ".join(
        f"{name}={_value(value)}" for name, value in entry.items() if name not in _HIDDEN_FIELDS and value is not None
    )
    at = dt.datetime.fromisoformat(entry["time"]).astimezone().strftime("%Y-%m-%d %H:%M:%S") if "time" in entry else ""
    level = str(entry.get("level", "info"))
    mark = click.style(f"{level:<7}", fg=_COLOURS.get(level))
    return f"{at} {mark} {click.style(str(entry['event']), bold=True)} {fields}".rstrip()


def _budgets(document: dict[str, Any]) -> list[str]:
    """
    Say which limits of CAs are less than half left, or closed by the CA.
    """
    low = [entry for entry in document.get("budgets", ()) if entry["closed_until"] or entry["left"] * 2 < entry["of"]]
    rows = [
        (
            printable(entry["ca"]),
            f"{entry['left']} of {entry['of']}",
            f"{entry['limit']}{', ' if entry['whose'] else ''}{printable(entry['whose'])}",
            f"closed by the CA until {moment(entry['closed_until'])}"
            if entry["closed_until"]
            else f"full {relative(entry['full_at'], document['time'])}",
        )
        for entry in low
    ]
    return [*_table(("CA", "LEFT", "BUDGET", "AGAIN"), rows), ""] if rows else []


def _nginx_line(document: dict[str, Any]) -> str:
    nginx = document["nginx"]
    daemon = "" if document.get("daemon", True) else click.style("The daemon does not run. ", fg="yellow")
    if nginx["missing"]:
        return daemon + click.style(nginx["missing"], fg="red")
    if not nginx["running"]:
        return daemon + click.style(f"nginx {nginx['version']} does not run.", fg="red")
    draining = f", {nginx['draining_workers']} old workers finish" if nginx["draining_workers"] else ""
    proof = "proven" if nginx["proven"] else click.style("not proven", fg="yellow")
    pid = f" (pid {nginx['pid']})" if nginx["pid"] else ""  # others' may be anywhere
    return f"{daemon}nginx {nginx['version']} runs{pid}, generation {nginx['generation']} {proof}{draining}."


def _troubles(document: dict[str, Any]) -> list[str]:
    now = document["time"]
    lines = []
    if document["clock"]:
        lines.append(f"! clock: {document['clock']}")
    if failure := document["nginx"]["failure"]:
        lines.append(f"! nginx: {printable(failure['error.detail'])} (next try {relative(failure['retry_at'], now)})")
    lines += [
        f"! {name}: {printable(part['error'])}"
        + (f" (next try {relative(part['retry_at'], now)})" if part["retry_at"] else "")
        for name, part in [
            *((site["site"], site) for site in document["sites"]),
            *((f"stream {stream['stream']}", stream) for stream in document.get("streams", ())),
        ]
        if part["error"]
    ]
    lines += [
        f"! TXT records are left at {provider}, and will be swept: {', '.join(names)}"
        for provider, names in document.get("leftovers", {}).items()
    ]
    for entry in document["certificates"]:
        if entry.get("revoked"):
            lines.append(f"! {entry['certificate']}: it was revoked, and is served until another is there")
        if entry.get("lacking"):
            lines.append(f"! {entry['certificate']}: it lacks {', '.join(entry['lacking'])}")
        if entry.get("late"):
            lines.append(
                f"! {entry['certificate']}: it was due for renewal {relative(entry['renew_at'], now)}, and ends {relative(entry['not_after'], now)}"
            )
        if entry["damaged"]:
            lines.append(f"! {entry['certificate']}: {printable(entry['damaged'])}")
        if failure := entry["failure"]:
            again = relative(failure["retry_at"], now)
            lines.append(
                f"! {entry['certificate']}: {printable(failure['error.detail'])} (failed {failure['failures']} times, next try {again})"
            )
        if doing := entry["doing"]:
            lines.append(
                f"  {entry['certificate']}: {printable(doing['step'])} (since {relative(doing['since'], now)})"
            )
    return lines


def printable(text: str) -> str:
    """
    Return text in which nothing moves a terminal's cursor or changes its title: it may come from a CA.
    """
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def _coloured(state: str) -> str:
    return click.style(state, fg=_COLOURS.get(state))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(click.unstyle(row[column])) for row in [head, *rows]) for column in range(len(head))]
    return [
        "  ".join(
            cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in [head, *rows]
    ]


def _value(value: object) -> str:
    if isinstance(value, str) and value and " " not in value:
        return printable(value)
    return printable(json.dumps(value, ensure_ascii=False))
