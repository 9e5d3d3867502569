"""
Decides the next step of an order from what the server says and what was done (RFC 8555 §7.1.6, §7.4). Pure.

It looks at states, never at history: after a crash it says the same as before. A status it does not know is waited for, and
the caller's deadline ends that.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeAlias

from gatelodge.errors import Problem, Subproblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatelodge.acme.messages import Authorization, Order


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    Prove the names of these authorizations.
    """

    authorizations: tuple[Authorization, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """
    Wait, then ask for these authorizations again; for the order when there are none.
    """

    authorizations: tuple[Authorization, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finalize:
    """
    Send the CSR.
    """


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """
    Fetch the certificate.
    """

    url: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """
    The order can never become a certificate.
    """

    problem: Problem


Step: TypeAlias = Answer | Poll | Finalize | Download | Failed

#: Authorizations from which no order becomes ready again (§7.1.6).
_LOST = frozenset({"invalid", "deactivated", "expired", "revoked"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """
    What was done for an order: authorizations whose challenge was answered, by URL; whether the CSR was accepted, or came too early.
    """

    answered: frozenset[str] = frozenset()
    finalized: bool = False
    too_early: bool = False


def next_step(order: Order, authorizations: Sequence[Authorization], done: Done) -> Step:
    """
    Say what to do next.

    Args:
        authorizations: the order's, as last seen; needed while it is pending or after it became invalid.
    """
    match order.status:
        case "valid" if order.certificate:
            return Download(url=order.certificate)
        case "invalid":
            return Failed(problem=why_invalid(order, authorizations))
        case "ready" if not done.finalized:
            return Finalize()
        case "pending":
            return _prove(order, authorizations, done)
        case _:
            return Poll()


def _prove(order: Order, authorizations: Sequence[Authorization], done: Done) -> Step:
    if any(each.status in _LOST for each in authorizations):
        return Failed(problem=why_invalid(order, authorizations))
    open_ones = tuple(each for each in authorizations if each.status != "valid")
    unanswered = tuple(each for each in open_ones if each.status == "pending" and each.url not in done.answered)
    if unanswered:
        return Answer(authorizations=unanswered)
    if open_ones:
        return Poll(authorizations=open_ones)
    # Whoever believes that nothing lacks sends the CSR (§7.4): asking for the order first would say nothing more, as a rule.
    return Poll() if done.too_early else Finalize()


def why_invalid(order: Order, authorizations: Sequence[Authorization]) -> Problem:
    """
    Say why an order failed: what the challenges met, else what the order says, else that nobody said.
    """
    lost = [each for each in authorizations if each.status in _LOST]
    found = [(each, next((way.error for way in each.challenges if way.error), None)) for each in lost]
    subproblems = tuple(
        Subproblem(
            type=error.type if error else "unauthorized",
            detail=error.detail if error else f"its authorization is {each.status}",
            identifier=each.name,
        )
        for each, error in found
    ) + tuple(deeper for _, error in found if error for deeper in error.subproblems)
    types = {error.type for _, error in found if error}
    if not types and order.error:
        return order.error
    if not subproblems:
        return Problem(type="badAnswer", detail="the order is invalid and the CA gave no reason")
    if len(subproblems) == 1:
        (sub,) = subproblems
        return Problem(type=sub.type, detail=f"{sub.identifier}: {sub.detail}", subproblems=subproblems)
    # `compound` is the type for reasons that differ (RFC 8555 §6.7).
    return Problem(
        type=types.pop() if len(types) == 1 else "compound",
        detail=f"{len(found)} of {len(authorizations)} names could not be proven",
        subproblems=subproblems,
    )
