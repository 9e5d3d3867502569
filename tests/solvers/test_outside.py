"""
What is seen from here of a name that a CA could not prove.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.support.fake_resolver import FakeResolver

from gatelodge.errors import HttpDisconnected, HttpUnreachable
from gatelodge.model import Name
from gatelodge.ports import Challenge, HttpResponse
from gatelodge.ports.advice import Finding
from gatelodge.solvers import outside
from gatelodge.solvers.outside import Outside

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = Name("www.example.com")
CHALLENGE = Challenge(name=NAME, token="abc", key_authorization="abc.key")
FOUR, OTHER, SIX = "203.1.113.5", "203.1.113.6", "2a00::1"
TOKEN, PAGE, MOVED = (200, b"abc.key\n"), (200, b"<html>"), (301, b"")


class Internet:
    """
    What answers at addresses: a status and a body, or an exception; elsewhere nobody can be reached.
    """

    def __init__(self, **places: object) -> None:
        self.places: dict[str, object] = places
        self.asked: list[tuple[str, str]] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        assert (method, body) == ("GET", None)
        assert timeout < 5
        assert url.endswith("/.well-known/acme-challenge/abc")
        address = url.removeprefix("http://").partition("/")[0].strip("[]")
        self.asked.append((address, (headers or {})["Host"]))
        answer = self.places.get(address, HttpUnreachable("no way"))
        if isinstance(answer, Exception):
            raise answer
        status, content = answer  # type: ignore[misc] # what is no exception is a pair
        return HttpResponse(status=status, headers={}, body=content)


def looking(
    resolver: FakeResolver, internet: Internet, *, own: tuple[str, ...] = (), public: Mapping[str, str] | None = None
) -> Outside:
    """
    Return what looks.
    """
    return Outside(
        resolver=lambda: resolver,  # type: ignore[arg-type,return-value] # it has what is asked for here
        http=internet,
        own=lambda: frozenset(own),
        public=lambda: public or {},
    )


@pytest.mark.parametrize(
    ("at", "places", "mine", "text", "explains"),
    [
        (((), ()), {}, ((), {}), "the public DNS has no address for it: add an A or AAAA record", True),
        (((FOUR,), ()), {FOUR: TOKEN}, ((), {}), f"A {FOUR} shows the token", False),
        (((FOUR,), ()), {FOUR: TOKEN}, ((FOUR,), {}), f"A {FOUR} (of this machine) shows the token", False),
        # Behind a router: its page, or nobody, says nothing of what the CA sees.
        (((FOUR,), ()), {FOUR: PAGE}, (("192.168.1.2",), {}), f"A {FOUR} answers 200 without the token", False),
        (((FOUR,), ()), {}, ((), {"A": FOUR}), f"A {FOUR} cannot be reached from here", False),
        (((FOUR,), ()), {FOUR: HttpDisconnected("x")}, ((), {}), f"A {FOUR} does not answer from here", False),
        (((FOUR,), ()), {FOUR: MOVED}, ((), {"A": FOUR}), f"A {FOUR} sends to another place", False),
        # The classic: an AAAA record that nobody thinks of.
        (
            ((FOUR,), (SIX,)), {FOUR: TOKEN, SIX: (404, b"")}, ((), {}),
            f"A {FOUR} shows the token; AAAA {SIX} answers 404 without the token; a CA prefers IPv6, and the AAAA record {SIX} leads elsewhere: mend it or take it away",
            True,
        ),
        (((FOUR,), (SIX,)), {FOUR: TOKEN, SIX: TOKEN}, ((), {}), f"A {FOUR} shows the token; AAAA {SIX} shows the token", False),
        (
            ((OTHER,), ()), {OTHER: PAGE}, ((), {"A": FOUR}),
            f"A {OTHER} (this machine's is {FOUR}) answers 200 without the token; the A record leads elsewhere: it should be {FOUR}",
            True,
        ),
        # Somebody before us, who hands visits on.
        (((OTHER,), ()), {OTHER: TOKEN}, ((), {"A": FOUR}), f"A {OTHER} (this machine's is {FOUR}) shows the token", False),
        (
            ((FOUR,), ()), {FOUR: PAGE}, ((FOUR,), {}),
            f"A {FOUR} (of this machine) answers 200 without the token; the way to {FOUR} port 80 is closed, or not nginx's",
            True,
        ),
        (
            (("192.168.1.2",), ()), {"192.168.1.2": TOKEN}, (("192.168.1.2",), {}),
            "A 192.168.1.2 (of this machine) shows the token; 192.168.1.2 cannot be reached from the internet: the A record must have a public address",
            True,
        ),
    ],
)  # fmt: skip
async def test_what_is_seen(
    at: tuple[tuple[str, ...], tuple[str, ...]],
    places: dict[str, object],
    mine: tuple[tuple[str, ...], dict[str, str]],
    text: str,
    *,
    explains: bool,
) -> None:
    """
    IPv4 and IPv6 apart; it explains something only where the view from inside makes no difference.
    """
    resolver, internet = FakeResolver(), Internet(**places)
    resolver.placed = {(NAME, "A"): at[0], (NAME, "AAAA"): at[1]}
    found = await looking(resolver, internet, own=mine[0], public=mine[1]).look(CHALLENGE)
    assert found == Finding(text=text, explains=explains)
    assert internet.asked == [(address, NAME) for address in (*at[0], *at[1])]


async def test_a_name_that_cannot_be_looked_up() -> None:
    """
    Is no explanation of anything.
    """
    resolver = FakeResolver()
    resolver.silent = {NAME}
    found = await looking(resolver, Internet()).look(CHALLENGE)
    assert found == Finding(text=f"{NAME}: nobody answers; {NAME}: nobody answers", explains=False)


async def test_an_address_is_where_it_is() -> None:
    """
    Nothing is looked up for it.
    """
    resolver = FakeResolver()
    for address, host in ((FOUR, FOUR), (SIX, f"[{SIX}]")):
        internet = Internet(**{address: TOKEN})
        challenge = dataclasses.replace(CHALLENGE, name=Name(address))
        found = await looking(resolver, internet, own=(address,)).look(challenge)
        assert found is not None
        assert found.text.endswith("(of this machine) shows the token")
        assert internet.asked == [(address, host)]
    assert not resolver.asked


async def test_it_takes_a_few_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The CA's answer waits.
    """
    monkeypatch.setattr(outside, "_PATIENCE", 0.05)
    resolver = FakeResolver()
    resolver.slow = 30
    assert await looking(resolver, Internet()).look(CHALLENGE) is None
