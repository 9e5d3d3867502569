"""
Servers that were made to hang, to flood or to lead astray whoever asks them, in place of a CA, a DNS provider's API or a service of any kind:
each ends in time, without much memory, in an error of ours.
"""

from __future__ import annotations

import resource
import time

import pytest
from tests.support.hostile_servers import HOSTILE, served

from gatelodge.acme import messages, problems
from gatelodge.errors import HttpDisconnected, HttpUnreachable, IssuanceError
from gatelodge.runtime.system import SystemClock, Web

#: How long an answer may take here, and how much longer the end of a request. Seconds.
PATIENCE, LATE = 1.0, 8.0

#: What may be held at most while an answer is read: ten times the longest one that is taken. Bytes.
MOST = 100 << 20


async def _directory(http: Web, url: str) -> messages.Directory:
    """
    Ask for a directory, and read the answer as a refusal too.
    """
    answer = await http.request("GET", url, timeout=PATIENCE)
    assert str(problems.from_answer(answer, url=url, now=SystemClock().now())).isprintable()
    return messages.directory(answer, url=url)


@pytest.mark.parametrize("what", HOSTILE)
async def test_who_is_asked_was_made_to_harm(what: str) -> None:
    """
    As a CA's directory, and as its refusal: one request, an end in time, no memory to speak of, and an error of ours.
    """
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    async with served(HOSTILE[what]) as (url, asked), Web() as http:
        with pytest.raises((HttpDisconnected, HttpUnreachable, IssuanceError)):
            await _directory(http, url)
        assert len(asked) == 1
    assert time.monotonic() - began < PATIENCE + LATE
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MOST
