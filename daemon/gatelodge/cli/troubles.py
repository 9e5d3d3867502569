"""
Says what is wrong in a report, in plain words: why, when it is tried again, and what to do. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatelodge.cli import times
from gatelodge.cli.layout import printable, readable
from gatelodge.cli.standing import Kind, Part, State
from gatelodge.core.remedies import remedy

if TYPE_CHECKING:
    from collections.abc import Iterator

#: So many sites are named that share a certificate.
_SHARERS_SHOWN = 3


def sharers(found: list[Part]) -> dict[str, list[Part]]:
    """
    Return the sites and streams of each certificate.
    """
    sharers: dict[str, list[Part]] = {}
    for part in found:
        if part.own and part.certificate:
            sharers.setdefault(part.certificate["certificate"], []).append(part)
    return sharers


def general(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """
    Yield what is wrong beside sites, streams and certificates, each with its mark.
    """
    now = document["time"]
    if document["clock"]:
        yield "!", f"clock: {document['clock']}"
    if failure := document["nginx"]["failure"]:
        yield "!", f"nginx: {_ended(plain(failure))} {_again(failure, now)}"
    if ddns := document.get("ddns"):
        for row in ddns["hosts"]:
            if row["problem"]:
                yield "!", f"dynamic DNS: {readable(row['host'])}: {printable(row['problem'])}"
        if failure := ddns["failure"]:
            yield "!", f"dynamic DNS: {_ended(plain(failure))} {_again(failure, now)}"
    for provider, names in document.get("leftovers", {}).items():
        yield "!", f"TXT records are left at {provider}, and will be swept: {', '.join(map(readable, names))}"


def of_parts(document: dict[str, Any], found: list[Part]) -> Iterator[tuple[str, str]]:
    """
    Yield what is wrong, the most urgent first, and of each certificate once.
    """
    now, told, shared_by = document["time"], set[str](), sharers(found)
    for part in found:
        kind = "stream " if part.kind is Kind.STREAM else ""
        for trouble in _of_own(part, now):
            yield "!", f"{kind}{readable(part.name)}: {trouble}"
        entry = part.certificate
        if entry is None or entry["certificate"] in told:
            continue
        told.add(entry["certificate"])
        names = [readable(user.name) for user in shared_by.get(entry["certificate"], ())]
        for trouble in of_certificate(entry, now):
            yield "!", f"{_titled(readable(entry['certificate']), names)}: {trouble}"


def of_part(part: Part, now: str) -> Iterator[str]:
    """
    Yield what is wrong with a part of a report and with its certificate.
    """
    yield from _of_own(part, now)
    if part.certificate:
        yield from of_certificate(part.certificate, now)


def _of_own(part: Part, now: str) -> Iterator[str]:
    if part.own and part.own["error"]:
        retry_at = part.own["retry_at"]
        again = f" Next try {times.relative(retry_at, now)}, or as soon as it is corrected." if retry_at else ""
        yield f"{_ended(printable(part.own['error']))}{again}"


def _titled(name: str, sharers: list[str]) -> str:
    """
    Name a certificate, and the sites that have it when they are called otherwise.
    """
    if sharers in ([], [name]):
        return name
    more = len(sharers) - _SHARERS_SHOWN
    shown = sharers if more <= 1 else [*sharers[:_SHARERS_SHOWN], f"{more} more"]
    return f"{name} (of {', '.join(shown)})"


def of_certificate(entry: dict[str, Any], now: str) -> Iterator[str]:
    """
    Yield what is wrong with a certificate of a report, in plain words, with when it is tried again and what to do.
    """
    ends = times.relative(entry["not_after"], now)
    if entry["state"] == State.EXPIRED:
        yield f"it expired {ends}: visitors are warned of it."
    if entry.get("revoked"):
        yield "it was revoked, and is served until another is there."
    if entry.get("lacking"):
        yield f"it lacks {', '.join(map(readable, entry['lacking']))}."
    if entry.get("late") and entry["state"] != State.EXPIRED:
        yield f"it was due for renewal {times.relative(entry['renew_at'], now)}, and ends {ends}."
    if entry["damaged"]:
        yield _ended(printable(entry["damaged"]))
    if failure := entry["failure"]:
        stand_in = " Visitors get a self-signed placeholder meanwhile." if entry["state"] == State.PLACEHOLDER else ""
        yield f"{_ended(plain(failure))} {_again(failure, now)}{stand_in} {remedy(failure)}"
    for copy in entry.get("exports", ()):
        if failure := copy["failure"]:
            yield f"its copy at {printable(copy['place'])} was not made: {_ended(plain(failure))} {_again(failure, now)}"


def plain(failure: dict[str, Any]) -> str:
    """
    Return the words of a failure without its type, which is for programs.
    """
    return readable(failure["error.detail"].removeprefix(f"{failure.get('error.type')}: "))


def _ended(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _again(failure: dict[str, Any], now: str) -> str:
    number = failure.get("failures", 1)
    often = f"Failed {number} times, next" if number > 1 else "Next"
    return f"{often} try {times.relative(failure['retry_at'], now)}."


def doing(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """
    Yield what is being done for certificates.
    """
    for entry in document["certificates"]:
        if doing := entry["doing"]:
            length = times.stopwatch(-times.seconds(doing["since"], document["time"]))
            yield "-", f"{readable(entry['certificate'])}: {readable(doing['step'])} ({length})"
