"""
What the planner does with a certificate that stands beside another, for visitors who take RSA alone.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from tests.core.planning import LIFE, NOW, World, fresh_world, names_of, spec

from gatelodge.core.actions import ApplyTree, MakePlaceholder, Obtain, Reason
from gatelodge.core.observed import Attempt
from gatelodge.errors import Problem
from gatelodge.model import INTERNAL_HOST, KeyKind, Site

DAY = dt.timedelta(days=1)
WIKI = spec("wiki.example", local=True)
BESIDE = dataclasses.replace(WIKI, name="wiki.example.rsa", key=KeyKind.RSA_2048, beside="wiki.example")


def both(**more: frozenset[str]) -> World:
    """
    Return a world in which one site shows two certificates.
    """
    world = fresh_world(WIKI, BESIDE, **more)
    (site, _) = world.desired.sites
    shown: Site = dataclasses.replace(site, certificates=(WIKI.name, BESIDE.name))
    world.desired = dataclasses.replace(world.desired, sites=(shown,))
    return world


def test_nothing_stands_in_for_it_and_nothing_waits_for_it() -> None:
    """
    Visitors are never without the first one, so it is asked for at once, and nginx is not kept from starting.
    """
    world = both()
    first = world.plan()
    assert [action.spec.name for action in first.actions if isinstance(action, MakePlaceholder)] == [INTERNAL_HOST]
    assert [(a.spec.name, a.reason) for a in first.actions if isinstance(a, Obtain)] == [
        (WIKI.name, Reason.MISSING), (BESIDE.name, Reason.MISSING),
    ]  # fmt: skip
    for action in first.actions:
        if isinstance(action, MakePlaceholder):
            world.carry_out(action)
    assert any(isinstance(action, ApplyTree) for action in world.plan().actions)


def test_both_are_had_and_renewed_each_by_itself() -> None:
    """
    Two lineages, which fall due when they do.
    """
    world = both()
    world.settle()
    held = world.observed.held
    assert (held[WIKI.name].key, held[BESIDE.name].key) == (KeyKind.ECDSA_P256, KeyKind.RSA_2048)
    assert world.plan().actions == ()
    older = dataclasses.replace(held[BESIDE.name], not_before=NOW - LIFE, not_after=NOW + DAY, stored_at=NOW - LIFE)
    world.observed = dataclasses.replace(world.observed, held={**held, BESIDE.name: older})
    assert names_of(world.plan()) == ["Obtain certificate:wiki.example.rsa"]


def test_one_that_cannot_be_had_costs_the_other_nothing() -> None:
    """
    It is tried again as the table says.
    """
    world = both(failing=frozenset({BESIDE.name}))
    world.settle()
    assert not world.observed.held[WIKI.name].placeholder
    assert BESIDE.name not in world.observed.held
    assert world.observed.nginx.running is not None
    assert isinstance(world.observed.attempts["certificate:wiki.example.rsa/local"], Attempt)
    assert world.observed.attempts["certificate:wiki.example.rsa/local"].problem == Problem(
        type="unauthorized", detail="no"
    )


def test_what_is_not_wanted_any_more_is_unused_and_kept() -> None:
    """
    As every certificate.
    """
    world = both()
    world.settle()
    (site,) = world.desired.sites
    rest = {name: each for name, each in world.desired.certificates.items() if name != BESIDE.name}
    alone = dataclasses.replace(site, certificates=(WIKI.name,))
    world.desired = dataclasses.replace(world.desired, certificates=rest, sites=(alone,))
    assert world.plan().actions == ()
    world.now = world.observed.held[BESIDE.name].not_after + 29 * DAY
    assert not any("rsa" in name for name in names_of(world.plan()) if name.startswith("Delete"))
    world.now += 2 * DAY
    assert "DeleteCertificate delete:wiki.example.rsa" in names_of(world.plan())
