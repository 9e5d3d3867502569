"""
Turns a server's refusals into `Problem` values (RFC 8555 §6.7, RFC 9457). Pure.

Unknown types stay as they came. An answer that is no problem document, and an answer that makes no sense, become problems
too: nothing that a server sends raises anything but `IssuanceError`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gatelodge.acme import retry_after
from gatelodge.errors import IssuanceError, Problem, Subproblem

if TYPE_CHECKING:
    import datetime as dt

    from gatelodge.ports import HttpResponse

#: Prefix of the error types (RFC 8555 §6.7).
URN = "urn:ietf:params:acme:error:"

#: What an answer that is no problem document stands for, by its status. Other 5xx are `serverInternal`.
_BARE = {429: "rateLimited"}
_SERVER_ERROR = 500

#: What servers write when it is not the order that they refuse, but what it is said to replace (RFC 9773 §5). Boulder: "Could not
#: validate ARI 'replaces' field", "parsing ARI CertID failed" (wfe2/wfe.go); pebble: "could not find an order for the given certificate"
#: (wfe/wfe.go). cert-manager's issue 9075 has a 404 for a certificate of another CA.
_REPLACES = re.compile(r"replac|\bARI\b|cert(ificate)?[ _-]?id|for the given certificate", re.IGNORECASE)

#: Types that speak of the order, whatever words they use.
_OF_THE_ORDER = frozenset({"rateLimited", "accountDoesNotExist", "userActionRequired", "badNonce", "invalidProfile"})
_NOT_FOUND = 404
_CONFLICT = 409

#: More of a text from outside than this is of no use to a reader.
_MOST = 1000

#: Reasons that are kept of one problem: a CA gives at most one for each name.
_MOST_SUBPROBLEMS = 100


def bad_answer(what: str, *, status: int | None = None) -> IssuanceError:
    """
    Return the error for an answer that makes no sense.
    """
    return IssuanceError(Problem(type="badAnswer", detail=what, status=status))


def from_answer(response: HttpResponse, *, url: str, now: dt.datetime) -> Problem:
    """
    Return the problem that a refused request met.
    """
    wait = retry_after.of_answer(response, now=now)
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict) and isinstance(document.get("type"), str):
        return from_document(document, status=response.status, wait=wait)
    bare = "serverInternal" if response.status >= _SERVER_ERROR else "badAnswer"
    return Problem(
        type=_BARE.get(response.status, bare),
        detail=f"{url} answered {response.status} and did not say why",
        status=response.status,
        retry_after=wait,
    )


def from_document(document: object, *, status: int | None = None, wait: dt.timedelta | None = None) -> Problem:
    """
    Return a problem document as a value. What it lacks or has wrong is left out.

    Args:
        status: the status of the answer that brought it; the document's own is used without.
        wait: the answer's Retry-After.
    """
    fields: dict[str, Any] = document if isinstance(document, dict) else {}
    own = fields.get("status")
    subproblems = fields.get("subproblems")
    return Problem(
        type=_type(fields),
        detail=_text(fields, "detail") or _text(fields, "title") or "the server gave no reason",
        status=status if status is not None else own if isinstance(own, int) else None,
        subproblems=tuple(map(_subproblem, subproblems[:_MOST_SUBPROBLEMS])) if isinstance(subproblems, list) else (),
        retry_after=wait,
        instance=_text(fields, "instance"),
    )


def objects_to_replaces(problem: Problem) -> bool:
    """
    Tell whether an order that names what it replaces was refused for that, so that it may be accepted without.
    """
    if problem.type == "alreadyReplaced" or problem.status in {_NOT_FOUND, _CONFLICT}:
        return True
    return problem.type not in _OF_THE_ORDER and _REPLACES.search(problem.detail) is not None


def shown(text: str) -> str:
    """
    Return a text from outside as it may end up on terminals and in logs: bounded, without control characters and surrogates.
    """
    return "".join(letter if letter.isprintable() else " " for letter in text[:_MOST]).strip()


def _subproblem(document: object) -> Subproblem:
    fields: dict[str, Any] = document if isinstance(document, dict) else {}
    identifier = fields.get("identifier")
    return Subproblem(
        type=_type(fields),
        detail=_text(fields, "detail") or "the server gave no reason",
        identifier=_text(identifier, "value") if isinstance(identifier, dict) else None,
    )


def _type(fields: dict[str, Any]) -> str:
    # A document without a type is `about:blank` (RFC 9457 §3.1.1).
    return (_text(fields, "type") or "about:blank").removeprefix(URN)


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return shown(value) or None if isinstance(value, str) else None
