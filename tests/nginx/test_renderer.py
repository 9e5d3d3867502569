"""
That the tree which is remembered between passes is never an old one.
"""

from __future__ import annotations

import dataclasses
import ipaddress

import pytest
from tests.nginx.trees import NOW, desired, held, nginx, observed, site

from gatelodge.core.tree import Quarantine
from gatelodge.model import is_ip
from gatelodge.nginx.writing.render import Renderer, render

WIKI, CHAT = site("wiki.example.com"), site("chat.example.com")


def test_the_same_question_is_answered_without_rendering_again() -> None:
    """
    Two passes that found the same get one and the same tree.
    """
    wanted, renderer = desired(WIKI), Renderer()
    first = renderer(wanted, observed(held("wiki.example.com")))
    assert renderer(wanted, observed(held("wiki.example.com"))) is first


def test_whatever_the_text_depends_on_makes_a_new_tree() -> None:
    """
    A new version, a quarantine, another nginx or another configuration is never answered with the tree before.
    """
    wanted, renderer = desired(WIKI), Renderer()
    seen = observed(held("wiki.example.com"))
    refused = render(wanted, seen).fresh["wiki.example.com"]
    kept_back = Quarantine(site="wiki.example.com", digest=refused, error="no", since=NOW, retry_at=NOW)
    questions = [
        (wanted, seen),
        (wanted, observed(held("wiki.example.com", version=2))),
        (wanted, dataclasses.replace(seen, quarantines={"wiki.example.com": kept_back})),
        (wanted, dataclasses.replace(seen, nginx=dataclasses.replace(seen.nginx, capabilities=nginx(1, 22, 1)))),
        (desired(WIKI, CHAT), seen),
        (wanted, seen),
    ]
    answers = [renderer(*question) for question in questions]
    assert answers == [render(*question) for question in questions]
    assert len({answer.digest for answer in answers}) == len(questions) - 1


@pytest.mark.parametrize(
    "text", ["", "a", "1", "a1", "1.2.3.4", "1.2.3", "::1", "fe80::1%eth0", "a.example", "x²", "a:b"]
)
def test_a_name_is_an_address_when_the_library_reads_it_as_one(text: str) -> None:
    """
    The quick answer for names that cannot be addresses agrees with the slow one.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert not is_ip(text)
    else:
        assert is_ip(text)
