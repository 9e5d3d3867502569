"""
Decides what of all that happens is news for a person: each trouble once, until it is over or becomes another one, and that it is over.

What was said is remembered for each target, by subject (a certificate, a site, nginx), so that neither repetition nor a restart says it again. The
tables say which events are trouble, which end it, and in which words. It reads no clock and sends nothing.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from gatelodge.core.failures import classify
from gatelodge.core.remedies import REMEDIES
from gatelodge.errors import Problem
from gatelodge.model import Notify, matches
from gatelodge.model.log import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Entry = Mapping[str, Any]
    Said = Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """
    An event that is trouble. `subject` is what is in trouble, with fields in braces; `tag` tells one trouble of a subject from the next, and each is
    said once. `title` is for one subject, `many` for several at once; `todo` is what to do.
    """

    subject: str
    tag: Callable[[Entry], str]
    title: str
    many: str
    todo: str = ""
    over: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """
    An event that ends trouble of subjects: all of it, or that with some tags. A `quiet` one is not told.
    """

    subjects: tuple[str, ...]
    tags: tuple[str, ...] = ()
    quiet: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """
    Something to be told. Of one `kind` many are told together; `why` says what happened, and when it is tried again.
    """

    id: int
    at: str
    kind: str
    level: Level
    subject: str
    title: str
    many: str
    why: str = ""
    todo: str = ""


def _name(entry: Entry) -> str:
    return str(entry["event"])


def _day(entry: Entry) -> str:
    """
    Tell days apart: of what nothing tells the end, a person hears once a day.
    """
    return str(entry.get("time", ""))[:10]


def failure(entry: Entry) -> str:
    """
    Return the class of the failure that an event is about.
    """
    told = entry.get("failure")
    kind = str(entry.get("error.type", ""))
    detail = str(entry.get("error.detail", "")).removeprefix(f"{kind}: ")
    return str(told) if told in REMEDIES else str(classify(Problem(type=kind, detail=detail)))


def _class_and_day(entry: Entry) -> str:
    return f"{failure(entry)} {_day(entry)}"


def _mark(entry: Entry) -> str:
    return f"{entry.get('not_after')} {entry.get('alarm')}"


_NGINX = "nginx"
_EXPIRED = "the certificate of {certificate} has expired"
_LOOK = "`gatelodge status` says how things stand."
_KEPT_BACK = "Correct what it says; it is tried again by itself, and at once when the configuration changes."

#: What is trouble.
TROUBLES: Mapping[str, Trouble] = {
    "certificate.failed": Trouble(
        subject="certificate:{certificate}",
        tag=failure,
        title="no new certificate for {certificate}",
        many="no new certificates for {count} names",
        over="{certificate} has a new certificate again",
    ),
    "certificate.expiring": Trouble(
        subject="expiring:{certificate}",
        tag=_mark,
        title="the certificate of {certificate} ends in {days_left} days",
        many="{count} certificates near their end",
        todo=_LOOK,
        over="{certificate} has a new certificate again",
    ),
    "certificate.export.failed": Trouble(
        subject="export:{place}",
        tag=lambda entry: str(entry.get("error.type")),
        title="the certificate {certificate} was not copied to {place}",
        many="{count} certificates were not copied to other programs",
        todo="nginx serves it; the other program still has the last one.",
        over="the certificate {certificate} was copied to {place} again",
    ),
    "certificate.renewal.moved": Trouble(
        subject="moved:{certificate}",
        tag=lambda entry: str(entry.get("serial")),
        title="its CA wants {certificate} replaced before its time",
        many="CAs want {count} certificates replaced before their time",
        todo="It is done by itself; the CA may be about to revoke them.",
    ),
    "site.quarantined": Trouble(
        subject="site:{site}",
        tag=_name,
        title="nginx does not take {site}",
        many="nginx does not take {count} sites",
        todo=_KEPT_BACK,
        over="{site} is served as configured again",
    ),
    "stream.quarantined": Trouble(
        subject="stream:{stream}",
        tag=_name,
        title="nginx does not take the stream {stream}",
        many="nginx does not take {count} streams",
        todo=_KEPT_BACK,
        over="the stream {stream} is served as configured again",
    ),
    "nginx.exited": Trouble(
        subject=_NGINX, tag=_name, title="nginx ended by itself", many="nginx ended by itself", todo="It is started again; its log says why it ended.",
        over="nginx serves again",
    ),
    "nginx.refused": Trouble(
        subject=_NGINX, tag=_name, title="nginx refuses the configuration", many="nginx refuses the configuration",
        todo="What was served before goes on. Correct what it says.", over="nginx serves what is configured again",
    ),
    "nginx.unproven": Trouble(
        subject=_NGINX, tag=_name, title="nginx does not come to serve a new configuration", many="nginx does not come to serve it",
        todo="What was served before goes on.", over="nginx serves what is configured again",
    ),
    "nginx.failed": Trouble(
        subject=_NGINX, tag=_name, title="nginx cannot be started or asked", many="nginx cannot be started or asked", over="nginx serves again",
        todo="Correct what it says; it is tried again by itself.",
    ),
    "nginx.missing": Trouble(
        subject=_NGINX, tag=_name, title="there is no nginx to run", many="there is no nginx to run", over="nginx serves again",
        todo="Install it, or name it in [nginx] binary.",
    ),
    "nginx.unreachable": Trouble(
        subject=_NGINX, tag=_name, title="nginx does not answer", many="nginx does not answer", over="nginx answers again",
        todo="Others start it; look at it there.",
    ),
    "config.refused": Trouble(
        subject="config", tag=_name, title="the changed configuration has mistakes", many="the changed configuration has mistakes",
        todo="The old one goes on. `gatelodge check` names them all.", over="the configuration is good again",
    ),
    "clock.doubted": Trouble(
        subject="clock", tag=_name, title="the clock is wrong", many="the clock is wrong",
        todo="No certificate is asked for until it is right; let it be set from the network (NTP).", over="the clock is right again",
    ),
    "state.failed": Trouble(
        subject="state", tag=_day, title="the state directory cannot be used", many="the state directory cannot be used", todo="Correct what it says.",
    ),
    "address.failed": Trouble(
        subject="address:{provider}", tag=_class_and_day, title="dynamic DNS fails at {provider}", many="dynamic DNS fails at {count} providers",
    ),
    "dns.sweep.failed": Trouble(
        subject="sweep:{provider}", tag=_class_and_day, title="DNS records cannot be removed at {provider}",
        many="DNS records cannot be removed at {count} providers",
    ),
    "hook.failed": Trouble(
        subject="hook:{hook}", tag=_day, title="the hook {hook} failed", many="{count} hooks failed", todo="It is not run again for this event.",
    ),
    "notify.failed": Trouble(
        subject="notify:{target}", tag=_day, title="messages to {target} are not taken", many="messages to {count} targets are not taken",
        todo="`gatelodge notify test` tries it.",
    ),
}  # fmt: skip

_OF_START = ("nginx.exited", "nginx.missing", "nginx.failed")

#: What ends it.
ENDS: Mapping[str, End] = {
    "certificate.issued": End(subjects=("certificate:{certificate}", "expiring:{certificate}")),
    "certificate.renewed": End(subjects=("certificate:{certificate}", "expiring:{certificate}")),
    "certificate.taken": End(subjects=("certificate:{certificate}", "expiring:{certificate}")),
    "certificate.deleted": End(subjects=("certificate:{certificate}", "expiring:{certificate}"), quiet=True),
    "certificate.exported": End(subjects=("export:{place}",)),
    "site.released": End(subjects=("site:{site}",)),
    "stream.released": End(subjects=("stream:{stream}",)),
    "nginx.started": End(subjects=(_NGINX,), tags=_OF_START),
    "nginx.reloaded": End(subjects=(_NGINX,)),
    "nginx.reachable": End(subjects=(_NGINX,), tags=("nginx.unreachable",)),
    "config.loaded": End(subjects=("config",)),
    "clock.trusted": End(subjects=("clock",)),
    "address.changed": End(subjects=("address:{provider}",), quiet=True),
}

_FIELD = re.compile(r"\{([a-z_.]+)\}")

#: A URL with its host as the first group: what follows the host is for programs, and a link in a message is one that somebody clicks.
_URL = re.compile(r"\bhttps?://([^/\s;,()\"']+)[^\s;,()\"']*")

_LONGEST_WHY = 500


def decide(entry: Entry, said: Said, target: Notify, words: Callable[[Entry], str]) -> tuple[News | None, Said]:
    """
    Say what a target is told of an event, if anything, and what has been said then.

    Args:
        words: returns an event as a sentence, for those in no table that the target asks for.
    """
    name = _name(entry)
    if (end := ENDS.get(name)) is not None:
        left, over = _ended(entry, end, said)
        if over is not None:
            return (None if end.quiet else _recovery(entry, over)), left
        said = left
    if not _is_wanted(entry, target):
        return None, said
    trouble = TROUBLES.get(name)
    if trouble is None:
        return (_plain(entry, words) if target.events else None), said
    if name == "notify.failed" and (entry.get("target") == target.name or entry.get("retry_at")):
        return None, said
    subject, tag = _filled(trouble.subject, entry), trouble.tag(entry)
    before = said.get(subject, ())
    if tag in before or (trouble.tag is _mark and before and _passed(before[-1], tag)):
        return None, said
    # Of what was told with a date, only the last is of use.
    kept = () if trouble.tag in {_mark, _day, _class_and_day} else before
    return _trouble(entry, trouble), {**said, subject: (*kept, tag)}


def _passed(before: str, tag: str) -> bool:
    """
    Tell whether an alarm about the same certificate was told at this mark or a later one.
    """
    (then, marked), (now, mark) = before.rsplit(" ", 1), tag.rsplit(" ", 1)
    return then == now and marked.isdecimal() and mark.isdecimal() and int(mark) <= int(marked)


def _is_wanted(entry: Entry, target: Notify) -> bool:
    if target.events and not matches(_name(entry), target.events):
        return False
    return _level(entry).rank >= target.level.rank


def _ended(entry: Entry, end: End, said: Said) -> tuple[Said, str | None]:
    """
    Return what is left of what was said, and the name of a trouble that is over; None when none was.
    """
    left, over = dict(said), None
    for subject in (_filled(each, entry) for each in end.subjects):
        tags = left.pop(subject, ())
        kept = tuple(tag for tag in tags if end.tags and tag not in end.tags)
        if kept:
            left[subject] = kept
        if len(kept) < len(tags):
            over = over or next(
                (name for name, each in TROUBLES.items() if _filled(each.subject, entry) == subject and (name in tags or each.tag is not _name)), None
            )  # fmt: skip
    return left, over


def _recovery(entry: Entry, over: str) -> News | None:
    title = _filled(TROUBLES[over].over, entry)
    if not title:
        return None
    ends = entry.get("not_after")
    return News(
        id=_id(entry),
        at=str(entry.get("time", "")),
        kind=f"{over} over",
        level=Level.INFO,
        subject=_subject(entry),
        title=title,
        many=f"{{count}} are well again: {TROUBLES[over].many.format(count='those')}",
        why=f"It is good until {moment(ends)}." if ends else "",
    )


def _trouble(entry: Entry, trouble: Trouble) -> News:
    again = entry.get("retry_at")
    detail = _text(str(entry.get("error.detail") or entry.get("reason") or "; ".join(entry.get("mistakes") or ())))
    kind = failure(entry) if trouble.tag in {failure, _class_and_day} else ""
    return News(
        id=_id(entry),
        at=str(entry.get("time", "")),
        kind=f"{_name(entry)} {kind}".strip(),
        level=_level(entry),
        subject=_subject(entry),
        title=_filled(_EXPIRED if entry.get("days_left") == 0 else trouble.title, entry),
        many=trouble.many,
        why=" ".join(filter(None, (_ended_text(detail), f"It is tried again at {moment(again)}." if again else ""))),
        todo=trouble.todo or REMEDIES[failure(entry)],
    )


def _plain(entry: Entry, words: Callable[[Entry], str]) -> News:
    name = _name(entry)
    text = _text(words(entry))
    return News(
        id=_id(entry), at=str(entry.get("time", "")), kind=name, level=_level(entry), subject=_subject(entry),
        title=f"{name}: {text}" if text else name, many=f"{name}, {{count}} times",
    )  # fmt: skip


def moment(text: object) -> str:
    """
    Return an event's time as people write it; in UTC, since a message may be read anywhere.
    """
    return f"{str(text)[:16].replace('T', ' ')} UTC"


def _subject(entry: Entry) -> str:
    return next((str(entry[key]) for key in ("certificate", "site", "stream", "host", "hook") if entry.get(key)), "")


def _level(entry: Entry) -> Level:
    level = entry.get("level")
    return Level(level) if level in list(Level) else Level.INFO


def _id(entry: Entry) -> int:
    return int(entry.get("id", 0))


def _filled(text: str, entry: Entry) -> str:
    return _FIELD.sub(lambda found: str(entry.get(found[1]) if entry.get(found[1]) is not None else "?"), text)


def _text(text: str) -> str:
    """
    Return text of others on one line, without links, and no longer than a person reads.
    """
    flat = _URL.sub(r"\1", " ".join(text.split()))
    safe = "".join(each if each.isprintable() else "?" for each in flat)
    return safe if len(safe) <= _LONGEST_WHY else f"{safe[: _LONGEST_WHY - 1]}…"


def _ended_text(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?", "…")) else f"{text}."
