"""
What a daemon finds when it takes the state directory: tokens that a killed one left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gatelodge import wiring
from gatelodge.config.read import read
from gatelodge.offers import CATALOG

if TYPE_CHECKING:
    from pathlib import Path

TOML = """
state_directory = "{state}"
acme.agree_tos = true
nginx.mode = "external"
nginx.reload = [["true"]]
[sites]
"a.example.com" = "http://127.0.0.1:1"
"""

TOKENS = "webroot/.well-known/acme-challenge"


@pytest.mark.parametrize("is_open", [False, True])
def test_tokens_that_a_killed_daemon_left_are_gone_at_the_next_start(tmp_path: Path, *, is_open: bool) -> None:
    """
    Unless an order of its is still open: the CA may be fetching them. What is not named as a token stays.
    """
    config = read(TOML.format(state=tmp_path / "state"), catalog=CATALOG)
    with wiring.claim(config, verb="run"):
        pass
    tokens, orders = tmp_path / "state" / TOKENS, tmp_path / "state" / "journal" / "orders"
    orders.mkdir()
    if is_open:
        (orders / "a.example.com.json").write_text("{}")
    for name in ("token", "robots.txt"):
        (tokens / name).write_text("x")
    with wiring.claim(config, verb="run"):
        assert {each.name for each in tokens.iterdir()} == {"robots.txt", *(["token"] if is_open else [])}
