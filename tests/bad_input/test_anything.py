"""
Whatever comes from outside: what is like the corpus and is not, and noise.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.bad_input import JUDGES, inputs, judged

#: So many of each kind, and the longest that one may take, in milliseconds: what takes longer hangs.
_EXAMPLES = {"toml": 100, "acme": 300, "dns": 200, "events": 200, "state": 150, "letters": 150}
_DEADLINE = 5000


@pytest.mark.made_up_events
@pytest.mark.parametrize("kind", sorted(JUDGES))
def test_whatever_comes_is_borne(kind: str) -> None:
    """
    It ends in an answer, or in an error for people.
    """

    @settings(max_examples=_EXAMPLES[kind], deadline=_DEADLINE, suppress_health_check=list(HealthCheck))
    @given(st.one_of(inputs(kind), inputs(kind), st.binary(max_size=200)))
    def holds(data: bytes) -> None:
        judged(kind, data)

    holds()
