"""
Streams inside a `stream {}` that is somebody else's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.nginx.streams import stream
from tests.support.nginx_dns import naming
from tests.support.nginx_external import Others, others
from tests.support.nginx_house import DEBIAN, NOW, WHEEL, trusting
from tests.support.plain import echoing, echoing_datagrams, say, visiting
from tests.support.waiting import until

from gatelodge.core.tree import Quarantine
from gatelodge.errors import NginxRefused
from gatelodge.model import Name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live


@pytest.fixture(
    params=[(DEBIAN, "commands"), (DEBIAN, "mailbox"), (WHEEL, "commands"), (WHEEL, "mailbox")],
    ids=["debian-commands", "debian-mailbox", "wheel-commands", "wheel-mailbox"],
)
async def his(request: pytest.FixtureRequest) -> AsyncIterator[Others]:
    """
    His nginx, reached in each way, and not yet started.
    """
    program, way = request.param
    async with others(program, way, start=False) as found:
        yield found


async def test_streams_are_served_beside_his(his: Others) -> None:
    """
    TCP by a name, UDP, and TLS with the certificate read back; what he has goes on, and so it does when they are gone again.
    """
    plain, datagrams, secured, own = his.home.spare[:4]
    his.take_streams(own)
    await his.start()
    nginx = his.external()
    async with naming(broker="127.0.0.1") as names, echoing() as tcp, echoing_datagrams() as udp:
        his.home.resolver = (f"127.0.0.1:{names.port}",)
        his.home.certify("mqtt.example.com")
        his.home.streams = [
            stream("plain", to=f"broker:{tcp.port}", port=plain),
            stream("datagrams", to=f"127.0.0.1:{udp.port}", port=datagrams, udp=True),
            stream(
                "secured",
                to=f"127.0.0.1:{tcp.port}",
                port=secured,
                hosts=(Name("mqtt.example.com"),),
                certificates=("mqtt.example.com",),
            ),
        ]
        rendered = his.render()
        assert {each.listener.port for each in rendered.served} == {plain, secured}
        await nginx.apply(rendered)

        async def passed() -> bool:
            return await say(plain, b"hello") == b"hello"

        await until(passed)
        assert await say(secured, b"hello", tls=trusting(), name="mqtt.example.com") == b"hello"
        async with visiting(datagrams) as visitor:
            assert await visitor.ask(b"hello") == b"hello"
        assert await say(own, b"") == b"his own"
        his.home.streams = []
        await nginx.apply(his.render())

        async def gone() -> bool:
            return await say(plain, b"hello") == b""

        await until(gone)
        assert await say(own, b"") == b"his own"


async def test_without_his_line_they_are_left_out_and_sites_are_served(his: Others) -> None:
    """
    It is told which line, and of which stream; only of UDP nobody can see that it is not there.
    """
    his.write()
    await his.start()
    nginx = his.external()
    his.home.add("a.example.com", to="http://127.0.0.1:9")
    his.home.streams = [stream(to="127.0.0.1:9", port=his.home.spare[0])]
    rendered = his.render()
    with pytest.raises(NginxRefused, match=r"have the line include /.*/current/stream\.con\[f\];\?") as refused:
        await nginx.apply(rendered)
    [part] = refused.value.guilty
    assert part == "stream:mqtt"
    his.home.quarantines[part] = Quarantine(
        site=part, digest=rendered.fresh[part], error=refused.value.output, since=NOW, retry_at=NOW
    )
    await nginx.apply(his.render())
    assert (await his.home.get("a.example.com")).status == 502
