"""
Inputs that were met before, or thought of, one a file: `corpus/KIND/`, read by the judge of that kind. What is found is put there.
"""

from __future__ import annotations

import pytest
from tests.support.bad_input import CORPUS, JUDGES, judged


@pytest.mark.made_up_events
@pytest.mark.parametrize("name", sorted(str(each.relative_to(CORPUS)) for each in CORPUS.glob("*/*")))
def test_what_is_kept_is_borne(name: str) -> None:
    """
    It ends in an answer, or in an error for people.
    """
    judged(name.partition("/")[0], (CORPUS / name).read_bytes())


def test_each_judge_has_something_to_judge() -> None:
    """
    And nothing lies there that nobody reads.
    """
    assert {each.name for each in CORPUS.iterdir()} == set(JUDGES)
