"""
Names proven by DNS, as users meet it: the daemon as a process, a real CA that asks a real name server, and an Alidns between them.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from tests.support import acme_dns
from tests.support import bind as binds
from tests.support.alidns import KEY_ID, KEY_SECRET
from tests.support.dns_house import OTHER, ZONE, DnsHouse, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.alidns import Record

pytestmark = pytest.mark.live

WIKI, CLOUD, CHAT = f"wiki.{ZONE}", f"cloud.{ZONE}", f"chat.{ZONE}"

#: How often the daemon is killed in the middle of issuance. More for who wants to be surer.
KILLS = int(os.environ.get("GATELODGE_TEST_KILLS", "5"))


@pytest.fixture
async def house() -> AsyncIterator[DnsHouse]:
    """
    A gate whose daemon does not run yet.
    """
    async with opened() as found:
        yield found


def names(der: bytes) -> set[str]:
    """
    Return the DNS names of a certificate.
    """
    extension = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(extension.value.get_values_for_type(x509.DNSName))


async def test_a_wildcard_and_its_apex_serve_many_sites(house: DnsHouse) -> None:
    """
    One certificate, two values under one name, proven through Aliyun; every record is gone afterwards.
    """
    before = await house.published()
    gate = house.gate
    wildcard = f'[certificates.home]\nnames = ["{ZONE}", "*.{ZONE}"]\n'
    gate.write(ZONE, WIKI, CLOUD, more=wildcard + house.home() + house.resolver)
    await gate.start()
    await gate.serving(ZONE, WIKI, CLOUD)
    (issued,) = gate.events("certificate.issued")

    assert issued["certificate"] == "home"
    assert names(gate.visitor.certificate(WIKI)) == {ZONE, f"*.{ZONE}"}
    assert gate.orders() == 1
    assert [entry["record"] for entry in gate.events("dns.record.added")] == [f"_acme-challenge.{ZONE}"] * 2
    assert len(gate.events("dns.record.removed")) == 2
    assert await house.published() == before
    assert house.aliyun.records == {}
    assert house.aliyun.counts == {
        "DescribeDomains": 1, "AddDomainRecord": 2, "DescribeSubDomainRecords": 2, "DeleteDomainRecord": 2,
    }  # fmt: skip
    assert list((gate.state / "journal" / "dns").glob("*")) == []


async def test_the_first_user_comes_from_swag(house: DnsHouse) -> None:
    """
    URL=…, SUBDOMAINS=chat,qq,baidu, ONLY_SUBDOMAINS=true, VALIDATION=dns, DNSPLUGIN=aliyun, and 8088:80, 2443:443 at the router:
    the same aliyun.ini, and a site a service. His key is nowhere but in its file.
    """
    gate = house.gate
    hosts = [f"{word}.{ZONE}" for word in ("chat", "qq", "baidu")]
    gate.nginx = "public_http_port = 8088\npublic_https_port = 2443"
    gate.write(*hosts, more=house.home() + house.resolver)
    code, out, err = await gate.gatelodge("check")

    assert (code, err) == (0, ""), (out, err)

    await gate.start()
    await gate.serving(*hosts)

    assert {entry["certificate"] for entry in gate.events("certificate.issued")} == set(hosts)
    assert names(gate.visitor.certificate(hosts[0])) == {hosts[0]}
    assert house.aliyun.records == {}
    shown = gate.said() + json.dumps([gate.events(), await gate.status()])
    for path in gate.state.rglob("*"):
        shown += path.read_text(errors="replace") if path.is_file() else ""
    assert KEY_ID not in shown
    assert KEY_SECRET not in shown


async def test_a_key_that_is_changed_in_its_file_is_used_at_once(house: DnsHouse) -> None:
    """
    A wrong one is told with what to do; the site is up with a placeholder meanwhile, and the CA was not asked.
    """
    gate = house.gate
    right = house.ini.read_text()
    house.ini.write_text(right.replace(KEY_SECRET, "not-the-secret-of-this-key"))
    gate.write(WIKI, more=house.home() + house.resolver)
    await gate.start()
    failed = await gate.saw("certificate.failed")
    await gate.saw("nginx.started")

    assert failed["error.type"] == "dnsCredentials"
    assert "SignatureDoesNotMatch" in failed["error.detail"]
    assert WIKI in failed["error.detail"] or failed["certificate"] == WIKI
    assert "not-the-secret" not in gate.said()
    assert gate.orders() == 0

    house.ini.write_text(right)
    code, out, err = await gate.gatelodge("renew", WIKI)

    assert code == 0, (out, err)
    await gate.serving(WIKI)


async def test_a_provider_that_is_down_delays_nobody_else(house: DnsHouse) -> None:
    """
    At the start, and while a certificate is issued by http-01 beside it. What failed is told with when it is tried again.
    """
    gate = house.gate
    house.aliyun.forbidden = {"DescribeDomains"}
    other = f"shop.{OTHER}"
    gate.write(more=f'"{WIKI}" = "http://127.0.0.1:{gate.upstream}"\n'
               f'"{other}" = {{ upstream = "http://127.0.0.1:{gate.upstream}", challenge = "http-01" }}\n'
               + house.home() + house.resolver)  # fmt: skip
    await gate.start()
    await gate.serving(other)
    failed = await gate.saw("certificate.failed")

    assert (failed["certificate"], failed["error.type"]) == (WIKI, "dnsCredentials")
    assert "alidns:DescribeDomains" in failed["error.detail"]
    assert failed["retry_at"]
    status = await gate.status()
    assert {site["site"]: site["state"] for site in status["sites"]} == {WIKI: "placeholder", other: "serving"}


async def test_an_alias_in_another_zone_is_followed(house: DnsHouse) -> None:
    """
    `_acme-challenge` is a CNAME to a zone that may be written to (RFC 8555 §8.4), found by itself or named by `alias`.
    """
    gate = house.gate
    target = f"gate.{OTHER}"
    for host in (WIKI, CLOUD):
        await house.bind.update(ZONE, ("add", f"_acme-challenge.{host}.", "60", "CNAME", f"{target}."))
    before = await house.published()
    gate.write(
        WIKI,
        CLOUD,
        more=f'[certificates.cloud]\nnames = ["{CLOUD}"]\nalias = "{target}"\n' + house.lab() + house.resolver,
    )
    await gate.start()
    await gate.serving(WIKI, CLOUD)

    assert {entry["record"] for entry in gate.events("dns.record.added")} == {target}
    assert {entry["zone"] for entry in gate.events("dns.record.added")} == {OTHER}
    assert await house.published() == before


async def test_acme_dns_answers_for_a_zone_that_nobody_may_write_to(house: DnsHouse) -> None:
    """
    The CNAME leads to the name that registration gave; apex and wildcard fit into its two values.
    """
    gate = house.gate
    async with acme_dns.running(house.bind, OTHER) as service:
        await house.bind.update(ZONE, ("add", f"_acme-challenge.{ZONE}.", "60", "CNAME", f"{service.domain}."))
        gate.write(WIKI, more=f'[certificates.home]\nnames = ["{ZONE}", "*.{ZONE}"]\n[dns.delegated]\nprovider = "acme-dns"\n'
                   f'endpoint = "{service.url}"\nusername = "{acme_dns.USERNAME}"\npassword = "{acme_dns.PASSWORD}"\n'
                   f'subdomain = "{acme_dns.SUBDOMAIN}"\nfulldomain = "{service.domain}"\n' + house.resolver)  # fmt: skip
        await gate.start()
        await gate.serving(WIKI)

    assert names(gate.visitor.certificate(WIKI)) == {ZONE, f"*.{ZONE}"}


async def test_one_name_by_http_and_its_wildcard_by_dns(house: DnsHouse) -> None:
    """
    The first way that can prove a name is used, name by name.
    """
    gate = house.gate
    spec = f'[certificates.home]\nnames = ["{ZONE}", "*.{ZONE}"]\nchallenge = ["http-01", "dns:home"]\n'
    gate.write(WIKI, more=spec + house.home() + house.resolver)
    await gate.start()
    await gate.serving(WIKI)

    assert names(gate.visitor.certificate(WIKI)) == {ZONE, f"*.{ZONE}"}
    assert len(gate.events("dns.record.added")) == 1
    assert house.aliyun.counts["AddDomainRecord"] == 1


async def test_a_name_server_that_lacks_the_record_keeps_the_ca_from_looking(house: DnsHouse) -> None:
    """
    A second server that never hears of changes: the event names it and what it lacks, the challenge is not answered, the
    authorization is given up, and the record is taken away.
    """
    gate, server = house.gate, house.bind
    await server.update(
        ZONE, ("add", f"{ZONE}.", "60", "NS", f"ns2.{ZONE}."), ("add", f"ns2.{ZONE}.", "60", "AAAA", "::1")
    )
    before = await house.published()
    async with binds.running(gate.folder, zones=(ZONE,), address="::1", port=server.port):
        gate.write(WIKI, more=house.home('wait = "3s"') + house.resolver)
        await gate.start()
        failed = await gate.saw("certificate.failed")

        assert failed["error.type"] == "propagation"
        assert f"ns2.{ZONE} (::1)" in failed["error.detail"]
        assert f"_acme-challenge.{WIKI}" in failed["error.detail"]
        assert failed["error.detail"].count("ns1.") == 0
        asked = (gate.folder / "pebble.log").read_text()
        assert gate.orders() == 1
        assert "POST /chalZ/" not in asked
        assert await house.published() == before
        assert list((gate.state / "journal" / "orders").glob("*")) == []


async def test_name_servers_elsewhere_are_told_before_anything_is_added(house: DnsHouse) -> None:
    """
    The domain moved away, and the zone at Aliyun was left behind: the event names both lists and the ways out.
    """
    gate = house.gate
    house.aliyun.zone(ZONE, "ns1.alidns.test", "ns2.alidns.test")
    gate.write(WIKI, more=house.home() + house.resolver)
    await gate.start()
    failed = await gate.saw("certificate.failed")

    assert failed["error.type"] == "dnsDelegation"
    for words in (f"ns1.{ZONE}", "ns1.alidns.test", "change the NS records", "`alias`"):
        assert words in failed["error.detail"]
    assert "AddDomainRecord" not in house.aliyun.counts
    assert gate.orders() == 0


async def test_a_provider_that_left_the_configuration_leaves_a_note(house: DnsHouse) -> None:
    """
    Its record stays in the journal and is reported; put back, it is swept, though the name was proven in another way meanwhile.
    """
    gate = house.gate

    async def withhold(*_: object) -> None:
        """
        No name server ever has the record, and nobody goes on to the CA.
        """

    publish, house.aliyun.publish = house.aliyun.publish, withhold
    gate.write(WIKI, more=house.home() + house.resolver)
    await gate.start()
    await gate.saw("dns.record.added")
    await gate.kill()
    house.aliyun.publish = publish
    gate.write(WIKI, more=house.resolver)
    await gate.start()
    told = await gate.saw("dns.record.orphaned")
    await gate.serving(WIKI)

    assert told["provider"] == "home"
    assert told["records"] == [f"_acme-challenge.{WIKI}"]
    assert "[dns.home]" in told["error.detail"]
    assert len(house.aliyun.records) == 1

    gate.write(WIKI, more=house.home() + house.resolver)
    gate.reload()
    await gate.saw("dns.record.removed")
    assert house.aliyun.records == {}
    assert len(gate.events("dns.record.added")) == 1


async def test_killed_in_the_middle_of_issuance_it_leaves_no_record_behind(house: DnsHouse) -> None:
    """
    At a random step of Alidns's work, before it is published or after, each time for a new name. What is left is swept at the next
    start, and in the end every name has its certificate.
    """
    gate, moments = house.gate, random.Random(3)  # noqa: S311 - which moments, no secret
    before = await house.published()
    publish = house.aliyun.publish
    assert publish is not None
    killed: set[object] = set()
    for turn in range(KILLS):
        at, when = moments.randrange(1, 5), moments.choice(("before", "after"))
        changes = 0

        async def killing(record: Record, present: bool, at: int = at, when: str = when) -> None:  # noqa: FBT001
            nonlocal changes
            changes += 1
            doomed = gate.daemon  # an answer to one that is dead already must not end the next
            if changes >= at and when == "before":
                killed.add(doomed)
                await gate.kill()
            await publish(record, present)
            if changes >= at and gate.daemon is doomed:
                killed.add(doomed)
                await gate.kill()

        house.aliyun.publish = killing
        spec = f'[certificates."n{turn}"]\nnames = ["n{turn}.{ZONE}", "*.n{turn}.{ZONE}"]\n'
        gate.write(f"n{turn}.{ZONE}", more=spec + house.home() + house.resolver)
        daemon = await gate.start()
        async with asyncio.timeout(40):
            await daemon.wait()
        assert daemon in killed, gate.said()
    house.aliyun.publish = publish
    gate.write(*(f"n{turn}.{ZONE}" for turn in range(KILLS)), more=house.home() + house.resolver)
    await gate.start()
    await gate.serving(*(f"n{turn}.{ZONE}" for turn in range(KILLS)))
    assert await house.published() == before
    assert house.aliyun.records == {}
