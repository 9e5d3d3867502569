"""
How often somebody may ask, at a clock that is told to move.
"""

from __future__ import annotations

import pytest
from tests.support.clock import FakeClock

from gatelodge.api import pace
from gatelodge.api.pace import Pace


def taken(one: Pace, address: str, times: int) -> list[int]:
    """
    Ask so many times, and return after how many seconds to come again, for each.
    """
    return [one.take(address) for _ in range(times)]


def test_a_burst_and_then_a_steady_pace() -> None:
    """
    Who comes when he was told to is let in, and what was refused cost nothing.
    """
    clock = FakeClock()
    one = Pace(clock=clock)

    assert taken(one, "192.0.2.1", 60) == [0] * 60
    assert taken(one, "192.0.2.1", 100) == [1] * 100

    clock.jump(1)

    assert taken(one, "192.0.2.1", 5) == [0] * 4 + [1]

    clock.jump(1e6)

    assert taken(one, "192.0.2.1", 61)[-2:] == [0, 1]


def test_many_addresses_share_one_pace() -> None:
    """
    However many somebody has.
    """
    one = Pace(clock=FakeClock())
    answers = [one.take(f"192.0.2.{number % 250}") for number in range(300)]

    assert answers.count(0) == 240


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_a_network_of_ipv6_is_one_asker(first: str, second: str, *, same: bool) -> None:
    """
    As wide as one household has it.
    """
    one = Pace(clock=FakeClock())
    taken(one, first, 60)

    assert (one.take(second) > 0) is same


def test_wrong_tokens_hurt_nobody_else() -> None:
    """
    Nor all together: whoever guesses empties his own bucket alone, and never below nothing.
    """
    clock = FakeClock()
    one = Pace(clock=clock)
    for _ in range(100):
        one.punish("192.0.2.1")

    assert one.take("192.0.2.1") == 1
    assert one.take("192.0.2.2") == 0

    clock.jump(0.25)

    assert one.take("192.0.2.1") == 0


def test_who_is_remembered_has_an_end() -> None:
    """
    Memory does not grow with the addresses.
    """
    clock = FakeClock()
    one = Pace(clock=clock)
    for number in range(5000):
        clock.jump(clock.monotonic() + 1)
        one.take(f"10.0.{number // 250}.{number % 250}")

    assert len(one._each) == pace._REMEMBERED
