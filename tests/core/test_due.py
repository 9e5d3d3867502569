"""
From when on a certificate is due, and by what its CA knows it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.planning import NOW, World, fresh_world, held, spec
from tests.support.ca import sign
from tests.support.certificates import certificate_id

from gatelodge.core.actions import AskRenewals, Obtain, Reason
from gatelodge.core.ari import LATEST, Choice
from gatelodge.core.certificates import TOGETHER
from gatelodge.core.due import due, identifier
from gatelodge.core.observed import Doubt, Held
from gatelodge.model import AcmeIssuer, RenewalWindow
from gatelodge.stores import contents

DAY = dt.timedelta(days=1)
A = spec("a.example")
KNOWN = dataclasses.replace(held(A), authority="00ff10")


def choice(*, moment: dt.datetime | None = None, ask_at: dt.datetime = NOW + DAY, of: Held = KNOWN) -> Choice:
    """
    What a CA suggested.
    """
    window = None if moment is None else RenewalWindow(start=moment - DAY, end=moment + DAY)
    return Choice(certificate=identifier(of) or "", ask_at=ask_at, window=window, moment=moment)


def world_of(found: Held, suggested: Choice | None = None, **observed: object) -> World:
    """
    A world that serves a certificate.
    """
    world = fresh_world(A)
    world.settle()
    world.now = NOW
    renewals = {A.name: suggested} if suggested else {}
    changes = {"held": {**world.observed.held, A.name: found}, "renewals": renewals, **observed}
    world.observed = dataclasses.replace(world.observed, **changes)  # type: ignore[arg-type]
    return world


def test_a_certificate_is_known_by_what_the_protocol_says() -> None:
    """
    What is worked out of the store's index is what is worked out of the chain.
    """
    for _ in range(20):
        issued = sign(A, not_before=NOW, life=90 * DAY)
        found = contents.check(A, issued, stored_at=NOW).held(version=1, directory="/x")
        assert identifier(found) == certificate_id(issued.chain)


@pytest.mark.parametrize(
    ("serial", "end"),
    [(0x87654321, "AIdlQyE"), (0x7F, "fw"), (0x80, "AIA"), (1, "AQ"), (2**159 - 1, "f" + "_" * 25 + "8")],
)
def test_a_certificate_is_known_by_its_issuers_key_and_its_number(serial: int, end: str) -> None:
    """
    RFC 9773 §4.1, the first its own example: the number as in DER, where a first bit that is set needs a zero byte before it.
    """
    aki = "69885b6b87464041e1b37b847ba0ae2cde01c8d4"
    found = dataclasses.replace(KNOWN, serial=f"{serial:x}", authority=aki)
    assert identifier(found) == f"aYhba4dGQEHhs3uEe6CuLN4ByNQ.{end}"


@given(serial=st.integers(1, 2**160), authority=st.binary(min_size=1, max_size=20))
def test_an_identifier_can_stand_in_a_url(serial: int, authority: bytes) -> None:
    """
    Two parts in base64url without padding (RFC 9773 §4.1).
    """
    known = identifier(dataclasses.replace(KNOWN, serial=f"{serial:x}", authority=authority.hex()))
    assert known is not None
    assert set(known) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert known.count(".") == 1


def test_one_that_does_not_say_who_signed_it_is_not_asked_about() -> None:
    """
    There is nothing to ask by.
    """
    assert identifier(held(A)) is None
    assert not [a for a in world_of(held(A)).plan().actions if isinstance(a, AskRenewals)]


def test_the_suggestion_counts_else_the_dates() -> None:
    """
    A suggestion about another certificate is none.
    """
    moment = NOW + 80 * DAY
    assert due(KNOWN, {A.name: choice(moment=moment)}) == (moment, Reason.SUGGESTED)
    for other in (choice(), choice(moment=moment, of=dataclasses.replace(KNOWN, serial="7"))):
        assert due(KNOWN, {A.name: other}) == (NOW + 60 * DAY, Reason.DUE)


@pytest.mark.parametrize(
    ("suggested", "asks"),
    [
        (None, True),
        (choice(ask_at=NOW - TOGETHER), True),
        (choice(ask_at=NOW), False),
        (choice(ask_at=NOW + DAY), False),
        (choice(ask_at=NOW + 2 * LATEST), True),
        (choice(ask_at=NOW + DAY, of=dataclasses.replace(KNOWN, serial="7")), True),
    ],
)
def test_when_the_ca_is_asked(suggested: Choice | None, *, asks: bool) -> None:
    """
    Right after issuance, then when it said; a time that cannot have been meant does not count. Otherwise it is looked again then.
    """
    found = world_of(KNOWN, suggested).plan()

    assert [type(action) for action in found.actions] == ([AskRenewals] if asks else [])
    if not asks:
        assert found.look_at <= NOW + DAY


def test_a_ca_is_asked_about_many_at_once() -> None:
    """
    Those that it may be asked about come along with the one that has waited longest.
    """
    others = [dataclasses.replace(held(spec(f"{name}.example")), authority="00") for name in "bcd"]
    world = fresh_world(A, *(spec(each.name) for each in others))
    world.settle()
    world.now = NOW
    asked_at = (NOW - TOGETHER, NOW - DAY, NOW, NOW + DAY)
    renewals = {each.name: choice(ask_at=at, of=each) for each, at in zip([KNOWN, *others], asked_at, strict=True)}
    mine = {each.name: each for each in [KNOWN, *others]}
    world.observed = dataclasses.replace(world.observed, held={**world.observed.held, **mine}, renewals=renewals)
    (action,) = [each for each in world.plan().actions if isinstance(each, AskRenewals)]

    assert [each.name for each in action.held] == ["a.example", "b.example", "c.example"]


def test_who_is_not_asked() -> None:
    """
    A CA that is not asked for this certificate any more, one for a certificate that has expired, and none while the clock is doubted.
    """
    foreign = dataclasses.replace(KNOWN, issuer=str(AcmeIssuer(ca="old")))
    expired = dataclasses.replace(KNOWN, not_before=NOW - 91 * DAY, not_after=NOW - DAY)
    doubt = Doubt(reason="it is 1970", until=NOW + DAY)
    for world in (world_of(foreign), world_of(expired), world_of(KNOWN, doubt=doubt)):
        assert not [a for a in world.plan().actions if isinstance(a, AskRenewals)]


def test_a_suggested_moment_renews() -> None:
    """
    When it has come, before the dates would say so, and not before it has come, though they do.
    """
    soon = world_of(KNOWN, choice(moment=NOW + DAY))
    soon.now = NOW + DAY
    (action,) = [a for a in soon.plan().actions if isinstance(a, Obtain)]
    assert action.reason is Reason.SUGGESTED

    late = world_of(KNOWN, choice(moment=NOW + 70 * DAY, ask_at=NOW + 66 * DAY))
    late.now = NOW + 65 * DAY
    assert not [a for a in late.plan().actions if isinstance(a, Obtain)]
