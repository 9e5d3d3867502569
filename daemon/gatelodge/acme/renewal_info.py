"""
What a CA says about when a certificate should be replaced (RFC 9773 §4). Pure.

When it is replaced is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelodge.acme import fields, retry_after
from gatelodge.model import RenewalInfo, RenewalWindow

if TYPE_CHECKING:
    import datetime as dt

    from gatelodge.ports import HttpResponse


def read(response: HttpResponse, *, url: str, certificate: str, now: dt.datetime) -> RenewalInfo:
    """
    Read an answer (§4.2). A window that ends before it starts, or cannot be read, is none.

    Raises:
        IssuanceError: `badAnswer`: it is nothing of the kind.
    """
    found = fields.whole(response, url)
    window = fields.part(found.get("suggestedWindow"))
    start, end = fields.time(window.get("start")), fields.time(window.get("end"))
    return RenewalInfo(
        certificate=certificate,
        window=RenewalWindow(start=start, end=end) if start is not None and end is not None and start < end else None,
        explanation=_page(found),
        retry_after=retry_after.of_answer(response, now=now),
    )


def _page(found: dict[str, object]) -> str | None:
    shown = fields.text_or_none(found, "explanationURL")
    return shown if shown is not None and shown.startswith(("https://", "http://")) else None
