"""
What whoever sends messages must do: apprise towards a real server, and the fake.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.support.notifier import FakeNotifier, Inbox, inbox

from gatelodge.core.delivery import Message
from gatelodge.errors import NotSent
from gatelodge.model import Secret, SecretRef
from gatelodge.model.log import Level
from gatelodge.notifiers.by_apprise import ByApprise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatelodge.ports import Notifier

HELLO = Message(title="gate1: an ümlaut", text="First line.\nSecond line: 文.", level=Level.ERROR)


@dataclasses.dataclass
class Case:
    """
    Somebody who sends, and who takes it.
    """

    notifier: Notifier
    server: Inbox | None = None

    def break_(self) -> None:
        if self.server:
            self.server.status = 500
        elif isinstance(self.notifier, FakeNotifier):
            self.notifier.broken = True

    def got(self) -> list[tuple[str, str]]:
        if self.server:
            return [(each["title"], each["message"]) for each in self.server.got]
        assert isinstance(self.notifier, FakeNotifier)
        return list(zip(self.notifier.titles, self.notifier.texts, strict=True))


@pytest.fixture(params=["apprise", "fake"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """
    Each of those who send.
    """
    if request.param == "fake":
        yield Case(FakeNotifier())
        return
    async with inbox() as server:
        yield Case(ByApprise(url=SecretRef(literal=Secret(server.url))), server)


async def test_a_message_comes_as_it_is(case: Case) -> None:
    """
    Title and text, lines and letters.
    """
    await case.notifier.send(HELLO)

    assert case.got() == [(HELLO.title, HELLO.text)]


async def test_what_is_not_taken_is_told(case: Case) -> None:
    """
    With a reason for people.
    """
    case.break_()
    with pytest.raises(NotSent) as raised:
        await case.notifier.send(HELLO)

    assert raised.value.why
    assert case.got() == []
