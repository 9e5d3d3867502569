"""
The policy in docs/aliyun.md allows what is asked of Alidns, on the user's own domain, and nothing else.
"""

from __future__ import annotations

import json

from tests.support import pages

from gatelodge.dns.aliyun.api import ACTIONS

(BLOCK,) = [block for block in pages.blocks("json") if block.page.name == "aliyun.md"]
POLICY = json.loads(BLOCK.text)


def test_it_allows_what_is_asked_for_and_no_more() -> None:
    """
    Action by action, each once.
    """
    allowed = [action for statement in POLICY["Statement"] for action in statement["Action"]]

    assert sorted(allowed) == sorted(f"alidns:{action}" for action in ACTIONS)


def test_only_the_list_of_domains_is_not_about_one_domain() -> None:
    """
    RAM knows no domain for that one; whatever changes a record is for the domain alone.
    """
    assert POLICY["Version"] == "1"
    for statement in POLICY["Statement"]:
        assert statement["Effect"] == "Allow"
        wide = statement["Resource"] == "*"
        assert wide is (statement["Action"] == ["alidns:DescribeDomains"])
        assert wide or statement["Resource"] == ["acs:alidns:*:*:domain/EXAMPLE.COM"]
