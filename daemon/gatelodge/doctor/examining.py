"""
Has everything looked at together, but for what would see what another writes; each check for a limited time, so that the whole ends within a
minute on any network.

A check that fails, or may not look, is a finding of its own: nothing that one does costs another anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING

from gatelodge.doctor.findings import Findings, Level
from gatelodge.errors import GatelodgeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from gatelodge.doctor.findings import Finding
    from gatelodge.doctor.patient import Patient

#: Seconds for one check, unless it says otherwise. A record that was added is taken away in four seconds more.
USUAL = 30.0

#: Seconds that one check waits for another.
LONGEST_BEFORE = 14.0

_LEVELS = tuple(Level)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    One thing that is looked at: its name in JSON, what people read above its findings, and who looks. `online` ones ask the internet. One that
    writes there what another would read begins `after` that has ended, or has taken `LONGEST_BEFORE`.
    """

    name: str
    title: str
    look: Callable[[Patient, Findings], Awaitable[None]]
    configured: bool = True
    online: bool = False
    seconds: float = USUAL
    after: str | None = None


async def examine(
    patient: Patient, checks: Iterable[Check], *, progress: Callable[[Sequence[str]], None] = lambda _: None
) -> list[Finding]:
    """
    Return everything that is found, the worst first, and otherwise in the order of the checks.

    Args:
        progress: told the titles of the checks that are still at it, whenever one has ended.
    """
    chosen = [check for check in checks if _applies(check, patient)]
    books = [Findings(check.name) for check in chosen]
    left = [check.title for check in chosen]
    ended = {check.name: asyncio.Event() for check in chosen}

    async def one(check: Check, findings: Findings) -> None:
        if check.after in ended:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended[check.after].wait(), LONGEST_BEFORE)
        await _look(check, patient, findings)
        ended[check.name].set()
        left.remove(check.title)
        progress(left)

    progress(left)
    async with asyncio.TaskGroup() as group:
        for check, findings in zip(chosen, books, strict=True):
            group.create_task(one(check, findings))
    found = [finding for findings in books for finding in findings.all]
    return sorted(found, key=lambda finding: _LEVELS.index(finding.level))


def _applies(check: Check, patient: Patient) -> bool:
    return (patient.desired is not None or not check.configured) and not (check.online and patient.offline)


async def _look(check: Check, patient: Patient, findings: Findings) -> None:
    try:
        async with asyncio.timeout(check.seconds):
            await check.look(patient, findings)
    except TimeoutError:
        findings.unseen(
            check.title, f"it took more than {check.seconds:g} s and was given up", do="look at this machine's network"
        )
    except PermissionError as error:
        findings.unseen(
            error.filename or check.title,
            "this user may not look at it",
            do="run it again as root, or as the daemon's user",
        )
    except (GatelodgeError, OSError) as error:
        findings.unseen(check.title, f"it could not be looked at: {error}")
    except Exception as error:  # noqa: BLE001 - a defect in one check must not hide what the others found
        findings.unseen(
            check.title,
            f"this check failed with {type(error).__name__}: {error}",
            do="please report it: it is a fault of Gatelodge",
        )
