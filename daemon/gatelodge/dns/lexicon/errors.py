"""
Decides what an exception of dns-lexicon means, and writes it for people. No secret ever reaches the text.

dns-lexicon has one word for most failures: an `AuthenticationError` may mean that the key is refused or that there is no such zone,
and which, only its text tells.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import re
import urllib.parse
from typing import TYPE_CHECKING

from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_SHOWN = 400

#: Lines of a secret shorter than this say nothing, and would blot out innocent text.
_LEAST_LINE = 8

_QUERY = re.compile(r"\?[^\s'\")>]*=[^\s'\")>]*")
_USER = re.compile(r"//[^/@\s]+@")

#: "No domain found", "Domain … not found", "zone … is not deployed", "failed to fetch basic domain info".
_ZONELESS = re.compile(
    r"\b(?:no|not|unknown|cannot|could not|does not|failed)\b.*\b(?:domain|zone)s?\b"
    r"|\b(?:domain|zone)s?\b.*\b(?:not|unknown|no|does not exist)\b",
    re.IGNORECASE | re.DOTALL,
)

_KEYS = "compare the options of its [dns.NAME] with the service's console, and see what the key may do"
_ZONES = "see whether the account has that zone; write zone = … where its name is another"


class Scrubber:
    """
    Takes secrets out of texts.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: set[str] = set()
        for secret in filter(None, secrets):
            lines = [line for line in secret.split("\n") if len(line) >= _LEAST_LINE]
            for text in (secret, *lines):
                forms |= {text, repr(text)[1:-1], json.dumps(text)[1:-1]}
                forms |= {urllib.parse.quote(text), urllib.parse.quote(text, safe=""), urllib.parse.quote_plus(text)}
                forms.add(base64.b64encode(text.encode()).decode())
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """
        Return a text without secrets, on one line, and not long.
        """
        for form in self._forms:
            text = text.replace(form, "…")
        text = _USER.sub("//…@", _QUERY.sub("?…", text))
        text = " ".join(text.split())
        return "".join(each if each.isprintable() else "?" for each in text)[:_MOST_SHOWN]


def told(error: BaseException, *, what: str, service: str, opening: bool, scrub: Scrubber) -> DnsError:
    """
    Return what is told of an exception.

    Args:
        what: the name that was worked on.
        opening: whether the zone was still looked for.
    """
    kind, remedy = _meaning(error, opening=opening)
    said = scrub(f"{_words(error)} {_body(error)}") or "it said nothing more"
    return DnsError(
        Problem(
            type=kind,
            detail=f"{what}: dns-lexicon's {service} failed: {said}; {remedy}",
            status=_status(error),
            retry_after=_retry_after(error),
        )
    )


def _meaning(error: BaseException, *, opening: bool) -> tuple[str, str]:
    status = _status(error)
    if status in (401, 403):
        return "dnsCredentials", _KEYS
    if status == 404 and opening:  # noqa: PLR2004 - HTTP's number
        return "dnsZone", _ZONES
    if status is not None and (status == 429 or status >= 500 or opening):  # noqa: PLR2004 - HTTP's numbers
        return "dnsProvider", "it is tried again later"
    if status is not None:
        return "dnsRecord", "see what stands under that name at the service"
    refused = any(each.__name__ == "AuthenticationError" for each in type(error).__mro__)
    if (refused or opening) and _ZONELESS.search(str(error)):
        return "dnsZone", _ZONES
    if refused:
        return "dnsCredentials", _KEYS
    if isinstance(error, OSError):
        return "dnsProvider", "can it be reached from here? It is tried again later"
    return "dnsProvider", "see whether a newer dns-lexicon knows better; it is tried again later"


def _words(error: BaseException) -> str:
    """
    Return what an exception says; with its class where that alone tells nothing, as with a KeyError.
    """
    if type(error) is Exception or _status(error) is not None or type(error).__name__.endswith("AuthenticationError"):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _body(error: BaseException) -> str:
    """
    Return what the service wrote, when it is for programs: pages for people are long and say little.
    """
    text = getattr(getattr(error, "response", None), "text", None)
    return text if isinstance(text, str) and text.lstrip().startswith(("{", "[")) else ""


def _retry_after(error: BaseException) -> dt.timedelta | None:
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
        seconds = int(error.response.headers["Retry-After"])  # type: ignore[attr-defined]
        return dt.timedelta(seconds=min(max(seconds, 0), 86400))
    return None
