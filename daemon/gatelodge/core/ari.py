"""
Decides when a certificate is renewed where its CA suggests a time (RFC 9773), and when the CA is asked again.

A moment is chosen within the CA's window by chance, so that not everybody comes at once, and kept while the window stays, so that
asking often does not make it come sooner. A window that cannot be meant is no answer, and then `renewal` has the word. No CA can
talk a certificate to death: with a twentieth of its life left it is renewed, whatever was suggested
(certmagic's rule, certificates.go; RFC 9773 §4.2 leaves it to the client).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

from gatelodge.core import renewal
from gatelodge.model import RenewalWindow

if TYPE_CHECKING:
    from gatelodge.model import JsonObject, RenewalInfo

#: The share of its life from which on a certificate is renewed, whatever the CA suggests.
LEFT = 1 / 20

#: How soon a CA is asked again at the earliest and at the latest, whatever it says (RFC 9773 §4.3.2), and when it does not say, or
#: did not answer (§4.3.3).
SOONEST = dt.timedelta(minutes=1)
LATEST = dt.timedelta(days=1)
USUAL = dt.timedelta(hours=6)

#: A window that ends further before its certificate begins is of no certificate of ours. CAs date certificates back by an hour, and
#: windows of revoked ones by about as much.
_BEFORE = dt.timedelta(days=1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """
    What is remembered of one certificate: its identifier (RFC 9773 §4.1), the CA's window with the moment that was chosen in it,
    the CA's page about why, and when to ask again. Without a window nothing was suggested yet.
    """

    certificate: str
    ask_at: dt.datetime
    window: RenewalWindow | None = None
    moment: dt.datetime | None = None
    explanation: str | None = None

    def document(self) -> JsonObject:
        """
        Return it as a JSON object.
        """
        return {
            "certificate": self.certificate,
            "ask_at": self.ask_at.isoformat(),
            "start": self.window.start.isoformat() if self.window else None,
            "end": self.window.end.isoformat() if self.window else None,
            "moment": self.moment.isoformat() if self.moment else None,
            "explanation": self.explanation,
        }


def from_document(document: JsonObject) -> Choice | None:
    """
    Return what was remembered; None when it makes no sense, as if it had been forgotten.
    """
    found: dict[str, Any] = dict(document)
    try:
        start, end, moment = _time(found["start"]), _time(found["end"]), _time(found["moment"])
        ask_at = _time(found["ask_at"])
    except (KeyError, TypeError, ValueError):
        return None
    certificate, explanation = found.get("certificate"), found.get("explanation")
    if ask_at is None or not isinstance(certificate, str) or not isinstance(explanation, str | None):
        return None
    if start is None or end is None or moment is None:
        return Choice(certificate=certificate, ask_at=ask_at)
    window = RenewalWindow(start=start, end=end)
    return Choice(certificate=certificate, ask_at=ask_at, window=window, moment=moment, explanation=explanation)


def learn(
    before: Choice | None,
    info: RenewalInfo,
    *,
    not_before: dt.datetime,
    not_after: dt.datetime,
    now: dt.datetime,
    spread: float,
) -> Choice:
    """
    Return what to remember after the CA has answered.

    Args:
        before: what was remembered, of this certificate or another.
        spread: a random number from 0 up to 1.
    """
    window = info.window
    if window is None or not _is_meant(window, not_before=not_before, not_after=not_after):
        return missed(before, certificate=info.certificate, now=now, retry_after=info.retry_after)
    kept = before if before is not None and _fits(before, info.certificate) and before.window == window else None
    return Choice(
        certificate=info.certificate,
        ask_at=_ask_at(now, info.retry_after),
        window=window,
        moment=kept.moment if kept else window.start + (window.end - window.start) * spread,
        explanation=info.explanation,
    )


def missed(
    before: Choice | None, *, certificate: str, now: dt.datetime, retry_after: dt.timedelta | None = None
) -> Choice:
    """
    Return what to remember after the CA was asked and gave no answer: what it said before holds.
    """
    ask_at = _ask_at(now, retry_after)
    if before is None or not _fits(before, certificate):
        return Choice(certificate=certificate, ask_at=ask_at)
    return dataclasses.replace(before, ask_at=ask_at)


def renew_at(
    choice: Choice | None,
    *,
    certificate: str,
    not_before: dt.datetime,
    not_after: dt.datetime,
    stored_at: dt.datetime,
) -> dt.datetime | None:
    """
    Return the moment from which a certificate is renewed; None when the CA suggested none, and its dates decide alone. Never right
    after it was stored: a CA whose windows always lie behind would be asked for ever.
    """
    if choice is None or not _fits(choice, certificate) or choice.moment is None:
        return None
    last = not_after - (not_after - not_before) * LEFT
    return max(min(choice.moment, last), stored_at + renewal.LEAST_REST)


def invited(choice: Choice | None, *, certificate: str, now: dt.datetime) -> bool:
    """
    Tell whether a CA wants a certificate replaced about now. Let's Encrypt counts an order that says what it replaces for no limit then, and
    only then (https://letsencrypt.org/docs/rate-limits/, "ARI renewals").
    """
    if choice is None or choice.window is None or not _fits(choice, certificate):
        return False
    return choice.window.start <= now < choice.window.end


def ask_at(choice: Choice | None, *, certificate: str, not_after: dt.datetime, now: dt.datetime) -> dt.datetime | None:
    """
    Return when to ask the CA; None when there is nothing to ask any more, since the certificate will have expired (§4.3). A time
    that a wrong clock wrote down does not count.
    """
    known = choice is not None and _fits(choice, certificate) and choice.ask_at <= now + LATEST
    at = choice.ask_at if choice is not None and known else now
    return at if max(at, now) < not_after else None


def hurried(before: Choice | None, after: Choice, *, now: dt.datetime) -> bool:
    """
    Tell whether the CA has moved a window that lay ahead into the past: it wants the certificate replaced now, as before a
    revocation. People should hear why.
    """
    return (
        before is not None
        and _fits(before, after.certificate)
        and before.window is not None
        and after.window is not None
        and after.window != before.window
        and after.window.end <= now < before.window.end
    )


def _fits(choice: Choice, certificate: str) -> bool:
    return choice.certificate == certificate


def _is_meant(window: RenewalWindow, *, not_before: dt.datetime, not_after: dt.datetime) -> bool:
    return (
        window.start < window.end
        and window.start < not_after
        and window.end > not_before - _BEFORE
        and window.end - window.start <= not_after - not_before
    )


def _ask_at(now: dt.datetime, retry_after: dt.timedelta | None) -> dt.datetime:
    return now + (USUAL if retry_after is None else min(max(retry_after, SOONEST), LATEST))


def _time(value: Any) -> dt.datetime | None:
    if value is None:
        return None
    time = dt.datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError("a time without a zone is not one that was written here")
    return time
