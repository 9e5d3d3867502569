"""
What is held and served: certificates that end or fail, with the last failure in plain words, limits that are used up, and parts that nginx
refused.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from gatelodge.core.remedies import remedy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient

#: What is told of a certificate by its state, and why that matters; those that are well are told otherwise.
_STATES: Mapping[str, tuple[str, str]] = {
    "missing": ("there is none", "nothing is served for it"),
    "placeholder": ("a self-signed placeholder stands in for it", "visitors see a warning of their browser"),
    "expired": ("it ended on {until}", "visitors see a warning of their browser, and apps refuse to connect"),
}

#: Less than one is none.
_OUT = 1.0


async def look(patient: Patient, findings: Findings) -> None:
    """
    Read the report of `status`.
    """
    report = await patient.standing()
    if report is None:
        return
    for entry in report["certificates"]:
        if entry["state"] != "unused":
            _look_at(entry, findings)
    for entry in report["budgets"]:
        if entry["left"] < _OUT or entry["closed_until"]:
            _tell_budget(entry, findings)
    for part in (*report["sites"], *report["streams"]):
        if part["error"] is not None:
            findings.broken(
                str(part.get("site") or part.get("stream")),
                f"nginx refused it: {part['error']}",
                why="it is served as it was proven last, or answers 503",
                do="mend what nginx names, then `gatelodge reload`",
            )


def _look_at(entry: Mapping[str, Any], findings: Findings) -> None:
    name, failure, state = entry["certificate"], entry["failure"], entry["state"]
    ends = dt.datetime.fromisoformat(entry["not_after"]) if entry["not_after"] else None
    until = f"{ends:%Y-%m-%d}" if ends else "now"
    said, why = _STATES.get(state, ("good until {until}", ""))
    said = said.format(until=until)
    if entry["revoked"]:
        said, why = f"{said}, and revoked", "visitors may be warned of it"
    if failure is not None:
        seen = f"{said}; {_times(failure['failures'])}: {failure['error.detail']}; tried again {_moment(failure['retry_at'])}"
        do = remedy(failure)
        if why:
            findings.broken(name, seen, why=why, do=do)
        else:
            findings.warn(name, seen, why="it ends unless the next tries succeed", do=do)
    elif why:
        findings.broken(name, said, why=why, do=_unfailed(entry))
    elif entry["late"]:
        findings.warn(
            name,
            f"{said}, and its renewal is late",
            why="it was due some time ago",
            do="see `gatelodge events` for what stands in the way",
        )
    elif entry["lacking"]:
        findings.warn(
            name,
            f"it lacks {', '.join(entry['lacking'])}",
            why="visitors of these names are warned by their browser",
            do="see `gatelodge status`",
        )
    elif entry["damaged"]:
        findings.warn(
            name,
            f"{said}, and damaged: {entry['damaged']}",
            why="its newest version cannot be used",
            do=f"gatelodge renew {name}",
        )
    else:
        findings.ok(name, f"{said}, from {entry['ca']}")


def _unfailed(entry: Mapping[str, Any]) -> str:
    if entry["doing"] is not None:
        return f"wait: it is being got ({entry['doing']['step']})"
    return "start the daemon, or see with `gatelodge plan` what it waits for"


def _times(failures: int) -> str:
    return "it failed once" if failures == 1 else f"it failed {failures} times"


def _moment(text: str) -> str:
    return f"at {dt.datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"


def _tell_budget(entry: Mapping[str, Any], findings: Findings) -> None:
    of = f" for {entry['whose']}" if entry["whose"] else ""
    until = f", which says so until {_moment(entry['closed_until'])[3:]}" if entry["closed_until"] else ""
    findings.warn(
        str(entry["ca"]),
        f"its limit of {entry['limit']}{of} is used up{until}",
        why="the CA would refuse, so it is not asked until then",
        do='wait; name a second `ca`, or use `ca = "letsencrypt-staging"` while trying things out',
    )
