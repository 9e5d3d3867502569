"""
The law of growth is the power that figures grow by.
"""

from __future__ import annotations

import pytest
from benchmarks import scale


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_found(power: float) -> None:
    """
    Over three sizes.
    """
    assert scale.exponent({size: 3e-5 * size**power for size in (100, 1_000, 10_000)}) == pytest.approx(power)


def test_a_fixed_part_makes_it_less() -> None:
    """
    As most of the memory is.
    """
    found = scale.exponent({size: 40 + size / 1000 for size in (100, 1_000, 10_000)})

    assert isinstance(found, float)
    assert 0 < found < 0.1


@pytest.mark.parametrize("points", [{}, {100: 1.0}, {100: 0.0, 1000: 1.0}])
def test_there_is_none_of_too_little(points: dict[int, float]) -> None:
    """
    One size, or nothing at all.
    """
    assert scale.exponent(points) == ""


def test_rows_are_medians_by_size() -> None:
    """
    Under what was measured, with its unit and its law.
    """
    runs = {10: [{"plan": each, "memory": 40.0} for each in (1.0, 9.0, 2.0)], 100: [{"plan": 20.0, "memory": 40.0}]}

    assert scale.rows(runs) == [
        {"what": "plan", "sites": 10, "median": 2.0, "unit": "seconds", "exponent": 1.0},
        {"what": "plan", "sites": 100, "median": 20.0, "unit": "seconds", "exponent": 1.0},
        {"what": "memory", "sites": 10, "median": 40.0, "unit": "MB", "exponent": 0.0},
        {"what": "memory", "sites": 100, "median": 40.0, "unit": "MB", "exponent": 0.0},
    ]
