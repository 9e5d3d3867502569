"""
Names as nginx's resolver sees them.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.support.nginx_dns import naming

from gatelodge.dns.as_nginx import look_up
from gatelodge.errors import DnsError


async def test_a_name_of_one_label_is_asked_as_it_stands() -> None:
    """
    Without a search list, which would make another name of it.
    """
    async with naming(wiki="172.18.0.5") as server:
        assert await look_up("wiki", [f"127.0.0.1:{server.port}"]) == ("172.18.0.5",)

        with pytest.raises(DnsError, match="no such name") as caught:
            await look_up("localhost", [f"127.0.0.1:{server.port}"])

        assert caught.value.problem.type == "dnsRecord"


async def test_nobody_answers() -> None:
    """
    That is another matter than a name that is not there.
    """
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    try:
        with pytest.raises(DnsError, match="did not answer") as caught:
            await look_up("wiki", [f"127.0.0.1:{port}"])
    finally:
        transport.close()

    assert caught.value.problem.type == "dnsProvider"
