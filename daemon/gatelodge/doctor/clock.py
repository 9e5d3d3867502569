"""
The clock: a certificate's dates, signed requests and TLS itself depend on it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
from typing import TYPE_CHECKING

from gatelodge.dns.caches import DOH
from gatelodge.errors import GatelodgeError, TransientError
from gatelodge.together import together

if TYPE_CHECKING:
    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient

#: Alidns takes a request for 15 minutes around its own time, a TSIG update for 5 (RFC 8945 §10); a CA and visitors bear more.
_TOLERABLE = dt.timedelta(minutes=4)

#: Seconds for each who is asked.
_SECONDS = 10.0

_SUBJECT = "this machine's clock"


async def look(patient: Patient, findings: Findings) -> None:
    """
    Compare it with the first CA that tells its time, else with a DNS-over-HTTPS service.
    """
    asked: list[tuple[str, dt.datetime, dt.datetime]] = []
    troubles: list[str] = []
    for ca, ask in (patient.instruments.dates if patient.instruments else {}).items():
        try:
            before = patient.clock.now()
            date = await ask()
            asked.append((ca, before, date))
            break
        except GatelodgeError as error:
            troubles.append(f"{ca}: {error}")
    if not asked:
        urls = patient.wanted.doh if patient.desired is not None else None
        dates = await together(_date(patient, url) for url in (DOH if urls is None else urls))
        asked = [each for each in dates if each is not None]
    if not asked:
        findings.unseen(
            _SUBJECT,
            f"nobody told the time: {'; '.join(troubles) or 'no CA and no DNS-over-HTTPS service answers'}",
            do="look at this machine's network",
        )
        return
    who, now, date = asked[0]
    off = now - date
    said = f"it says {now:%Y-%m-%d %H:%M:%S} UTC, and {who} says {date:%Y-%m-%d %H:%M:%S} UTC"
    if abs(off) <= _TOLERABLE:
        findings.ok(_SUBJECT, f"right within {max(1, round(abs(off).total_seconds()))} s, says {who}")
    else:
        findings.broken(
            _SUBJECT,
            said,
            why="certificates look fresh or expired when they are not, and CAs and DNS providers refuse signed requests",
            do="set the clock and keep it set by NTP: timedatectl set-ntp true",
        )


async def _date(patient: Patient, url: str) -> tuple[str, dt.datetime, dt.datetime] | None:
    """
    Read the Date of an HTTP answer (RFC 9110 §6.6.1), whatever the answer is.
    """
    with contextlib.suppress(TransientError, ValueError):
        before = patient.clock.now()
        answer = await patient.http.request("GET", url, timeout=_SECONDS)
        said = answer.header("date")
        if said is not None:
            return url, before, email.utils.parsedate_to_datetime(said).astimezone(dt.UTC)
    return None
