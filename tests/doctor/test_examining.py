"""
Everything together: levels in order, limits of time, and checks that fail or may not look.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.patient import Case

from gatelodge.doctor import examining
from gatelodge.doctor.checks import CHECKS
from gatelodge.doctor.examining import LONGEST_BEFORE, USUAL, Check, examine
from gatelodge.doctor.patient import Once
from gatelodge.errors import StateError
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from gatelodge.doctor.findings import Findings
    from gatelodge.doctor.patient import Patient


async def _well(_: Patient, findings: Findings) -> None:
    findings.ok("all", "well")


async def _bad(_: Patient, findings: Findings) -> None:
    findings.note("a", "note")
    findings.broken("b", "broken", why="why", do="do")
    findings.warn("c", "warning", why="why", do="do")


async def _slow(_: Patient, findings: Findings) -> None:
    findings.ok("first", "seen in time")
    await asyncio.Event().wait()


async def _barred(_: Patient, findings: Findings) -> None:
    del findings
    raise PermissionError(13, "Permission denied", "/secret")


async def _failing(_: Patient, findings: Findings) -> None:
    del findings
    raise StateError("/state", "it is full", "make room")


async def _defective(_: Patient, findings: Findings) -> None:
    del findings
    raise KeyError("defect")


async def test_the_worst_comes_first(tmp_path: Path) -> None:
    """
    Otherwise findings stand in the order of their checks, and each knows its check.
    """
    checks = (Check(name="well", title="Well", look=_well), Check(name="bad", title="Bad", look=_bad))
    found = await examine(Case(folder=tmp_path).patient(), checks)

    assert [str(each.level) for each in found] == ["broken", "warning", "note", "ok"]
    assert [each.check for each in found] == ["bad", "bad", "bad", "well"]
    assert set(found[0].document()) == {"check", "level", "subject", "seen", "why", "do"}


async def test_what_was_seen_in_time_stays(tmp_path: Path) -> None:
    """
    A check that takes too long is given up, and told; what it found before counts, and no other waits for it.
    """
    checks = (
        Check(name="slow", title="Slow", look=_slow, seconds=0.1),
        Check(name="well", title="Well", look=_well),
    )
    began = time.monotonic()
    told: list[list[str]] = []
    found = await examine(Case(folder=tmp_path).patient(), checks, progress=lambda left: told.append([*left]))

    assert time.monotonic() - began < 5
    assert [(each.subject, str(each.level)) for each in found] == [("Slow", "note"), ("first", "ok"), ("all", "ok")]
    assert "more than 0.1 s" in found[0].seen
    assert told == [["Slow", "Well"], ["Slow"], []]


@pytest.mark.parametrize("first", [_well, _slow, _defective])
async def test_what_writes_waits_for_what_reads(tmp_path: Path, first: Callable[..., Awaitable[None]]) -> None:
    """
    One that begins after another does so when that has ended, however it ends; and at once when that is not looked at.
    """
    began: list[str] = []

    def noted(name: str, look: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def one(patient: Patient, findings: Findings) -> None:
            began.append(f"{name} begins")
            try:
                await look(patient, findings)
            finally:
                began.append(f"{name} ends")

        return one

    second = Check(name="second", title="Second", look=noted("second", _well), after="first")
    checks = (second, Check(name="first", title="First", look=noted("first", first), seconds=0.1))
    patient = Case(folder=tmp_path).patient()
    await examine(patient, checks)
    assert began == ["first begins", "first ends", "second begins", "second ends"]

    began.clear()
    await examine(patient, [second])
    assert began == ["second begins", "second ends"]


async def test_what_takes_long_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Both have their time then, side by side.
    """
    monkeypatch.setattr(examining, "LONGEST_BEFORE", 0.05)
    checks = (
        Check(name="first", title="First", look=_slow, seconds=0.5),
        Check(name="second", title="Second", look=_well, after="first"),
    )
    told: list[list[str]] = []
    await examine(Case(folder=tmp_path).patient(), checks, progress=lambda left: told.append([*left]))
    assert told == [["First", "Second"], ["First"], []]


async def test_a_check_that_may_not_look_or_fails_harms_no_other(tmp_path: Path) -> None:
    """
    What it could not look at, and why, is a note; so is a defect of ours.
    """
    checks = tuple(
        Check(name=look.__name__, title=look.__name__, look=look) for look in (_barred, _failing, _defective, _well)
    )
    found = {each.check: each for each in await examine(Case(folder=tmp_path).patient(), checks)}

    assert {str(each.level) for each in found.values()} == {"note", "ok"}
    assert (found["_barred"].subject, found["_barred"].do) == (
        "/secret",
        "run it again as root, or as the daemon's user",
    )
    assert "it is full" in found["_failing"].seen
    assert "KeyError" in found["_defective"].seen
    assert "report it" in found["_defective"].do


async def test_offline_and_without_a_configuration_less_is_looked_at(tmp_path: Path) -> None:
    """
    Offline nothing of the internet is asked; without a configuration, only what needs none.
    """
    asked: list[str] = []

    async def look(_: Patient, findings: Findings) -> None:
        asked.append(findings.check)

    checks = [
        Check(name=f"{configured} {online}", title="", look=look, configured=configured, online=online)
        for configured in (True, False)
        for online in (True, False)
    ]
    patient = Case(folder=tmp_path).patient()
    await examine(dataclasses.replace(patient, offline=True), checks)

    assert sorted(asked) == ["False False", "True False"]

    asked.clear()
    await examine(dataclasses.replace(patient, config=None, desired=None, instruments=None), checks)

    assert sorted(asked) == ["False False", "False True"]


async def test_what_several_ask_for_is_asked_once() -> None:
    """
    An answer and a failure of ours are remembered; who is cancelled leaves the question to the next.
    """
    asked = 0
    gate = asyncio.Event()

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await gate.wait()
        return asked

    once = Once(ask)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await once()
    gate.set()

    assert await together([once(), once()]) == [2, 2]

    failures = 0

    async def fail() -> int:
        nonlocal failures
        failures += 1
        raise StateError("/state", "it is full", "make room")

    broken = Once(fail)
    for _ in range(2):
        with pytest.raises(StateError):
            await broken()

    assert failures == 1


def test_the_whole_ends_within_a_minute() -> None:
    """
    Checks run together, or one after another that is named, so the longest limits and a hasty farewell of the ledger are all that it can take.
    Names are used once.
    """
    assert max(check.seconds + (LONGEST_BEFORE if check.after else 0) for check in CHECKS) + 5 < 60
    assert USUAL + 5 < 60
    names = {check.name for check in CHECKS}
    assert len(names) == len(CHECKS)
    assert {check.name: check.after for check in CHECKS if check.after} == {"dns": "addresses"}
    assert "addresses" in names
