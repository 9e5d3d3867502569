"""
The next step of an order.
"""

from __future__ import annotations

import pytest

from gatelodge.acme.messages import Authorization, Challenge, Order
from gatelodge.acme.steps import Answer, Done, Download, Failed, Finalize, Poll, next_step
from gatelodge.errors import Problem, Subproblem
from gatelodge.model import Name


def order(status: str, certificate: str | None = None, error: Problem | None = None) -> Order:
    """
    Make an order in a state.
    """
    return Order(
        url="o",
        status=status,
        names=frozenset({Name("a.example")}),
        authorizations=("1", "2"),
        finalize="f",
        certificate=certificate,
        error=error,
    )


def authorization(url: str, status: str, error: Problem | None = None) -> Authorization:
    """
    Make an authorization in a state.
    """
    challenge = Challenge(type="http-01", url=f"c{url}", status="pending", token="t", error=error)
    return Authorization(url=url, status=status, name=Name(f"{url}.example"), challenges=(challenge,))


ONE, TWO = authorization("1", "pending"), authorization("2", "pending")
VALID = authorization("1", "valid")


@pytest.mark.parametrize(
    ("found", "seen", "done", "step"),
    [
        (order("pending"), [ONE, TWO], Done(), Answer(authorizations=(ONE, TWO))),
        (order("pending"), [VALID, TWO], Done(), Answer(authorizations=(TWO,))),
        (order("pending"), [ONE, TWO], Done(answered=frozenset("1")), Answer(authorizations=(TWO,))),
        (order("pending"), [ONE, TWO], Done(answered=frozenset("12")), Poll(authorizations=(ONE, TWO))),
        (order("pending"), [VALID, TWO], Done(answered=frozenset("12")), Poll(authorizations=(TWO,))),
        (order("pending"), [VALID], Done(), Finalize()),
        (order("pending"), [VALID], Done(too_early=True), Poll()),
        (order("ready"), [], Done(), Finalize()),
        (order("ready"), [], Done(finalized=True), Poll()),
        (order("processing"), [], Done(), Poll()),
        (order("valid"), [], Done(), Poll()),
        (order("valid", certificate="u"), [], Done(), Download(url="u")),
        (order("dreaming"), [], Done(), Poll()),
    ],
)
def test_the_state_says_what_comes_next(found: Order, seen: list[Authorization], done: Done, step: object) -> None:
    """
    Every state has one next step; unknown ones are waited for.
    """
    assert next_step(found, seen, done) == step


def test_an_unknown_authorization_status_is_waited_for() -> None:
    """
    Only `pending` is answered.
    """
    odd = authorization("1", "dreaming")
    assert next_step(order("pending"), [odd], Done()) == Poll(authorizations=(odd,))


DNS = Problem(type="dns", detail="no such name", subproblems=(Subproblem(type="dns", detail="SERVFAIL"),))
REFUSED = Problem(type="connection", detail="refused")


@pytest.mark.parametrize("status", ["invalid", "deactivated", "expired", "revoked"])
def test_a_lost_authorization_fails_the_order(status: str) -> None:
    """
    The order is given up as soon as one name cannot be proven, though the server still calls it pending.
    """
    step = next_step(order("pending"), [VALID, authorization("2", status)], Done())
    assert isinstance(step, Failed)
    assert str(step.problem) == f"unauthorized: 2.example: its authorization is {status}"
    assert [sub.identifier for sub in step.problem.subproblems] == ["2.example"]


def test_one_failed_name_gives_the_problem_its_type() -> None:
    """
    What the CA said of the challenge is what people read.
    """
    step = next_step(order("invalid"), [VALID, authorization("2", "invalid", REFUSED)], Done())
    assert isinstance(step, Failed)
    assert str(step.problem) == "connection: 2.example: refused"
    assert [sub.identifier for sub in step.problem.subproblems] == ["2.example"]


def test_several_failed_names_are_all_named() -> None:
    """
    Reasons that differ are `compound`; the CA's own subproblems are kept.
    """
    seen = [authorization("1", "invalid", DNS), authorization("2", "invalid", REFUSED)]
    step = next_step(order("invalid"), seen, Done())
    assert isinstance(step, Failed)
    assert step.problem.type == "compound"
    assert [(sub.identifier, sub.type) for sub in step.problem.subproblems] == [
        ("1.example", "dns"),
        ("2.example", "connection"),
        (None, "dns"),
    ]


def test_an_orders_own_error_is_used_when_the_names_say_nothing() -> None:
    """
    An order can fail after its names were proven, by CAA for one.
    """
    caa = Problem(type="caa", detail="forbidden")
    assert next_step(order("invalid", error=caa), [VALID], Done()) == Failed(problem=caa)


def test_an_invalid_order_without_a_reason_says_so() -> None:
    """
    Somebody must say that nobody said why.
    """
    step = next_step(order("invalid"), [], Done())
    assert isinstance(step, Failed)
    assert "no reason" in step.problem.detail
