"""
Records of a name as the world sees them: CAA, and addresses, wherever CNAMEs lead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import dns.rrset
import pytest
from tests.dns.test_resolver import ONE, ZONE, home, resolver, world
from tests.support import name_servers
from tests.support.name_servers import refusing, reply

from gatelodge.core.caa import Record
from gatelodge.errors import DnsError
from gatelodge.runtime.system import Web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


pytestmark = pytest.mark.live

WWW = f"www.{ZONE}"


@pytest.fixture
async def http() -> AsyncIterator[Web]:
    """
    The HTTP client.
    """
    async with Web() as web:
        yield web


def record(owner: str, tag: str, value: str, flags: int = 0) -> Record:
    """
    Return a CAA record.
    """
    return Record(owner=owner, flags=flags, tag=tag, value=value)


async def test_caa_records_where_a_name_leads(http: Web) -> None:
    """
    At the name itself, and at the end of its CNAMEs; none of its parents'.
    """
    records = home(ns1=ONE)
    records.add(ZONE, "CAA", '0 issue "ca.test; accounturi=https://ca.test/1"', '128 IODEF "mailto:a b@c.test"')
    records.add(WWW, "CNAME", f"web.{ZONE}.")
    records.add(f"web.{ZONE}", "CNAME", f"far.{ZONE}.")
    records.add(f"far.{ZONE}", "CAA", '0 issuewild ";"')
    async with world(records) as (recursive, server):
        looking = resolver(http, recursive.server, port=recursive.port)
        for fresh in (False, True):
            assert set(await looking.caa(ZONE, fresh=fresh)) == {
                record(ZONE, "issue", "ca.test; accounturi=https://ca.test/1"),
                record(ZONE, "IODEF", "mailto:a b@c.test", 128),
            }
            assert await looking.caa(WWW, fresh=fresh) == (record(f"far.{ZONE}", "issuewild", ";"),)
            assert await looking.caa(f"none.{ZONE}", fresh=fresh) == ()
        assert WWW in server.names("CAA")


async def test_a_cache_may_be_out_of_date(http: Web) -> None:
    """
    Then the zone's own server knows better.
    """
    old, new = home(ns1=ONE), home(ns1=ONE)
    old.add(ZONE, "CAA", '0 issue "other.test"')
    async with world(new, recursive=old.of_resolver) as (recursive, _):
        looking = resolver(http, recursive.server, port=recursive.port)
        assert await looking.caa(ZONE) == (record(ZONE, "issue", "other.test"),)
        assert await looking.caa(ZONE, fresh=True) == ()


async def test_many_records_come_by_tcp_and_over_https(http: Web) -> None:
    """
    More than a datagram holds, and where no resolver is known.
    """
    records = home(ns1=ONE)
    records.add(ZONE, "CAA", *(f'0 issue "ca-{number}.test; {"x" * 60}=y"' for number in range(40)))
    async with world(records) as (recursive, _):
        looking = resolver(http, recursive.server, port=recursive.port)
        assert len(await looking.caa(ZONE)) == 40
    async with name_servers.over_https(records.of_resolver) as doh:
        refused = resolver(http, f"{ONE}:9", port=9, doh=[doh.url])
        assert len(await refused.caa(ZONE)) == 40
        # Nobody waits for these records, so nobody minds that it was asked.
        assert refused.services == ((doh.url, False),)


async def test_trouble_is_told(http: Web) -> None:
    """
    A server that cannot tell, and CNAMEs without end.
    """

    def circle(query: dns.message.Message, _: str) -> dns.message.Message:
        name = query.question[0].name.to_text(omit_final_dot=True)
        return reply(query, dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", f"{ZONE if name == WWW else WWW}."))

    async with name_servers.running(refusing(dns.rcode.SERVFAIL)) as server:
        with pytest.raises(DnsError, match=r"its CAA records cannot be looked up: .*SERVFAIL"):
            await resolver(http, server.server, port=9).caa(ZONE)
    async with name_servers.running(circle) as server:
        with pytest.raises(DnsError, match="more than 50 names"):
            await resolver(http, server.server, port=9).addresses(ZONE, "A")


async def test_addresses_of_both_kinds(http: Web) -> None:
    """
    Apart, in canonical form.
    """
    records = home(ns1=ONE)
    records.add(WWW, "CNAME", f"web.{ZONE}.")
    records.add(f"web.{ZONE}", "A", "192.0.2.9", "192.0.2.1")
    records.add(f"web.{ZONE}", "AAAA", "2001:db8:0:0::1")
    async with world(records) as (recursive, _):
        looking = resolver(http, recursive.server, port=recursive.port)
        assert await looking.addresses(WWW, "A") == ("192.0.2.1", "192.0.2.9")
        assert await looking.addresses(WWW, "AAAA") == ("2001:db8::1",)
        assert await looking.addresses(f"none.{ZONE}", "A") == ()
    inside = home(ns1=ONE)
    inside.add(WWW, "A", "192.168.1.2")
    async with world(records, recursive=inside.of_resolver) as (recursive, _):
        # A router that knows the name by its address at home.
        looking = resolver(http, recursive.server, port=recursive.port)
        assert await looking.addresses(WWW, "A") == ("192.0.2.1", "192.0.2.9")
