"""
Decides what of a report is urgent: the state of each part, who needs somebody, and in which order they are looked at. Pure.

A report says of a site how it is served and of a certificate how it is held. A person wants one word for both, the worst one.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class State(enum.StrEnum):
    """
    How a part stands, the most urgent first.
    """

    DOWN = "down"
    EXPIRED = "expired"
    MISSING = "missing"
    QUARANTINED = "quarantined"
    FAILING = "failing"
    DAMAGED = "damaged"
    REVOKED = "revoked"
    PLACEHOLDER = "placeholder"
    EXPIRING = "expiring"
    LACKING = "lacking"
    SERVING = "serving"
    VALID = "valid"
    PLAIN = "plain"
    PASSING = "passing"
    UNUSED = "unused"

    @property
    def fine(self) -> bool:
        """
        True where nothing is to be done.
        """
        return _RANK[self] >= _RANK[State.SERVING]


_RANK = {state: rank for rank, state in enumerate(State)}


class Kind(enum.StrEnum):
    """
    What a part is.
    """

    SITE = "site"
    STREAM = "stream"
    CERTIFICATE = "certificate"


class Part(NamedTuple):
    """
    A site or stream with its certificate, or a certificate that neither has. `own` is the part's entry in the report (None for a
    certificate alone), `certificate` that of its certificate.
    """

    kind: Kind
    name: str
    state: State
    own: dict[str, Any] | None
    certificate: dict[str, Any] | None

    @property
    def working(self) -> bool:
        """
        True while its first certificate is on its way, and nothing speaks against it yet.
        """
        entry = self.certificate
        return bool(
            self.state in {State.PLACEHOLDER, State.MISSING} and entry and entry["doing"] and not entry["failure"]
        )

    @property
    def needs_somebody(self) -> bool:
        """
        True when it is not as it should be, and nothing is on its way for it.
        """
        return not self.state.fine and not self.working

    @property
    def renew_at(self) -> str | None:
        """
        When its certificate is due.
        """
        return self.certificate["renew_at"] if self.certificate else None


def parts(document: dict[str, Any]) -> list[Part]:
    """
    Return all parts of a report: those that are broken first, the fine ones by when they are renewed next.
    """
    return sorted(_parts(document), key=_urgency)


def _urgency(part: Part) -> tuple[int, bool, str, str]:
    # Of the fine ones, those that a date is known for come first, whatever their kind of fine.
    rank = _RANK[State.SERVING] if part.state.fine and part.state is not State.UNUSED else _RANK[part.state]
    return rank, part.renew_at is None, part.renew_at or "", part.name


def _parts(document: dict[str, Any]) -> Iterator[Part]:
    held = {entry["certificate"]: entry for entry in document["certificates"]}
    shown = set()
    for site in document["sites"]:
        yield _part(Kind.SITE, site["site"], site, held)
        shown.add(site["certificate"])
    for stream in document.get("streams", ()):
        yield _part(Kind.STREAM, stream["stream"], stream, held)
        shown.add(stream["certificate"])
    for name, entry in held.items():
        if name not in shown:
            yield Part(Kind.CERTIFICATE, name, condition(entry), None, entry)


def _part(kind: Kind, name: str, own: dict[str, Any], held: dict[str, dict[str, Any]]) -> Part:
    entry = held.get(own["certificate"]) if own["certificate"] else None
    states = [State(own["state"]), *([condition(entry)] if entry else [])]
    worst = min((state for state in states if not state.fine), key=_RANK.__getitem__, default=states[0])
    return Part(kind, name, worst, own, entry)


def condition(entry: dict[str, Any]) -> State:
    """
    Return the state of a certificate of a report.
    """
    state = State(entry["state"])
    if state is State.UNUSED:
        return state
    signs = {
        State.FAILING: entry["failure"] or any(copy["failure"] for copy in entry.get("exports", ())),
        State.DAMAGED: entry["damaged"],
        State.REVOKED: entry.get("revoked"),
        State.EXPIRING: entry.get("late"),
        State.LACKING: entry.get("lacking"),
    }
    return min((state, *(sign for sign, shown in signs.items() if shown)), key=_RANK.__getitem__)


def find(wanted: str, found: list[Part]) -> Part | None:
    """
    Return the part that a person means by its NAME, by a host, or by a name of its certificate; written in Unicode too.
    """
    name = _a_label(wanted)
    for part in found:
        if name == part.name:
            return part
    for part in found:
        if part.own and name in part.own["hosts"]:
            return part
    return next((part for part in found if part.certificate and name in part.certificate["names"]), None)


def _a_label(name: str) -> str:
    if name.isascii():
        return name.lower()
    import idna

    try:
        return idna.encode(name.lower()).decode()
    except UnicodeError:
        return name


class Tone(enum.StrEnum):
    """
    How good news are.
    """

    GOOD = "good"
    WORKING = "working"
    BAD = "bad"


class Summary(NamedTuple):
    """
    How everything stands, in one sentence.
    """

    tone: Tone
    text: str
    names: tuple[str, ...] = ()


def summary(document: dict[str, Any], found: list[Part]) -> Summary:
    """
    Say in one sentence how everything stands, with the names of those who need somebody.
    """
    nginx = document["nginx"]
    counted = [part for part in found if part.state is not State.UNUSED]
    if counted and (nginx["missing"] or not nginx["running"]):
        return Summary(Tone.BAD, "Nothing is served: nginx does not run")
    bad = tuple(part.name for part in counted if part.needs_somebody)
    if bad:
        return Summary(Tone.BAD, f"{len(bad)} of {len(counted)} need{'s' if len(bad) == 1 else ''} you", bad)
    if document["clock"]:
        return Summary(Tone.BAD, "The clock is not believed")
    ddns = document.get("ddns")
    others = {
        "nginx": nginx["failure"],
        "dynamic DNS": ddns and (ddns["failure"] or any(row["problem"] for row in ddns["hosts"])),
    }
    if wrong := tuple(name for name, failure in others.items() if failure):
        verb = "needs" if len(wrong) == 1 else "need"
        return Summary(Tone.BAD, f"{' and '.join(wrong)} {verb} you")
    if working := tuple(part.name for part in counted if part.working):
        verb = "is" if len(working) == 1 else "are"
        return Summary(Tone.WORKING, f"{len(working)} of {len(counted)} {verb} on the way", working)
    if not counted:
        return Summary(Tone.GOOD, "Nothing is asked for")
    return Summary(Tone.GOOD, f"All well: {_counted(counted)}", tuple(_next(counted)))


def _counted(found: list[Part]) -> str:
    numbers = {kind: sum(part.kind is kind for part in found) for kind in Kind}
    return ", ".join(f"{number} {kind}{'' if number == 1 else 's'}" for kind, number in numbers.items() if number)


def _next(found: list[Part]) -> Iterator[str]:
    """
    Yield the name of the part that is renewed next, if any is.
    """
    due = [(part.renew_at, part.name) for part in found if part.renew_at]
    if due:
        yield min(due)[1]
