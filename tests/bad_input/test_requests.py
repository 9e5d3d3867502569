"""
Whatever is sent to the admin service, over TCP and to its socket: it is refused or answered, gives nothing away, and others are answered after
it.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, settings
from tests.support.admin import gatehouse
from tests.support.bad_requests import Sent, judged, requests

from gatelodge.api import connections, routes

if TYPE_CHECKING:
    import pytest

#: So many, and the longest that one may take, in milliseconds: what takes longer hangs.
_EXAMPLES, _DEADLINE = 300, 5000

#: What is found is told as it was found: a server would have to be asked for minutes until it is shorter.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


async def test_whatever_is_sent_is_borne(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Bytes, and what looks like a request.
    """
    for module, name in ((connections, "HEAD_SECONDS"), (routes, "_BODY_SECONDS")):
        monkeypatch.setattr(module, name, 0.1)
    loop = asyncio.get_running_loop()
    # A path short enough for a socket (108 bytes, unix(7)).
    with tempfile.TemporaryDirectory(prefix="gl-") as name:
        async with gatehouse(Path(name)) as house:

            @settings(
                max_examples=_EXAMPLES, deadline=_DEADLINE, phases=_PHASES, suppress_health_check=list(HealthCheck)
            )
            @given(requests())
            def holds(sent: Sent) -> None:
                asyncio.run_coroutine_threadsafe(judged(house, sent, Path(name)), loop).result(_DEADLINE / 100)

            await asyncio.to_thread(holds)
