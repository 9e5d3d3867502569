"""
The clock, against whoever tells the time.
"""

from __future__ import annotations

import datetime as dt
import email.utils
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.clock import START
from tests.support.patient import Case

from gatelodge.doctor import clock
from gatelodge.errors import TransientError
from gatelodge.ports import HttpResponse

if TYPE_CHECKING:
    from pathlib import Path


def ca(off: dt.timedelta) -> dict[str, Any]:
    """
    Return a CA whose time is so far from ours.
    """

    async def date() -> dt.datetime:
        return START + off

    return {"letsencrypt": date}


@pytest.mark.parametrize(
    ("off", "level"),
    [
        (dt.timedelta(seconds=2), "ok"),
        (dt.timedelta(minutes=-3), "ok"),
        (dt.timedelta(minutes=5), "broken"),
        (dt.timedelta(days=-400), "broken"),
    ],
)
async def test_against_the_ca(tmp_path: Path, off: dt.timedelta, level: str) -> None:
    """
    A few minutes are borne; more break signed requests, and are told with both times.
    """
    seen = await Case(folder=tmp_path, dates=ca(off)).look(clock.look)

    assert "letsencrypt" in seen.of(level)


class Web:
    """
    Services that tell the time in an HTTP answer, whatever the answer is.
    """

    async def request(self, method: str, url: str, **_: Any) -> HttpResponse:
        del method, url
        date = email.utils.format_datetime(START + dt.timedelta(hours=2), usegmt=True)
        return HttpResponse(status=400, headers={"date": (date,)}, body=b"")


async def test_without_a_ca_a_service_is_asked(tmp_path: Path) -> None:
    """
    Where no CA answers, the Date of a DNS-over-HTTPS service will do; where nobody does, that is told.
    """

    async def dead() -> dt.datetime:
        raise TransientError("the CA is down")

    case = Case(folder=tmp_path, dates={"letsencrypt": dead}, http=Web())

    assert "https://dns.alidns.com/dns-query says" in (await case.look(clock.look)).of("broken")

    seen = await Case(folder=tmp_path, dates={"letsencrypt": dead}).look(clock.look)

    assert "the CA is down" in seen.of("note")
