"""
What the planner does about the DNS: issuance without nginx, records that were left, addresses.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from tests.core.planning import NOW, World, fresh_world, names_of, placeholder, spec

from gatelodge.core.actions import digest, key
from gatelodge.core.observed import Attempt
from gatelodge.core.plan import Plan, plan
from gatelodge.errors import Problem
from gatelodge.model import AddressSource, CertificateSpec, DdnsSettings, DnsSettings, Name

HOME = DnsSettings(name="home", provider="aliyun", options={})
DDNS = DdnsSettings(
    dns="home",
    hosts=(Name("a.example"),),
    ipv4=AddressSource(interface="eth0"),
    ipv6=None,
    every=dt.timedelta(seconds=30),
)
BY_DNS = dataclasses.replace(
    spec("a.example"), names=(Name("a.example"), Name("*.a.example")), challenges=("dns:home",)
)
BOTH = dataclasses.replace(spec("b.example"), challenges=("http-01", "dns:home"))


def world_of(*specs: CertificateSpec, **desired: object) -> World:
    """
    Return a world in which each certificate has its placeholder and nginx does not run.
    """
    world = fresh_world(*specs)
    internal = world.desired.certificates["gatelodge.invalid"]
    world.desired = dataclasses.replace(world.desired, dns={"home": HOME}, **desired)  # type: ignore[arg-type]
    stand_ins = {each.name: placeholder(each) for each in (*specs, internal)}
    world.observed = dataclasses.replace(world.observed, held=stand_ins, versions=dict.fromkeys(stand_ins, (1,)))
    return world


def planned(world: World, now: dt.datetime = NOW, **observed: object) -> Plan:
    """
    Plan without a tree: there is no nginx to render for.
    """
    return plan(world.desired, dataclasses.replace(world.observed, **observed), None, now)  # type: ignore[arg-type]


def test_what_dns_proves_needs_no_nginx() -> None:
    """
    Nor does a certificate that could be proven either way. One that only nginx can prove waits, and one for an IP address too.
    """
    by_http = spec("c.example")
    address = dataclasses.replace(BOTH, name="192.0.2.1", names=(Name("b.example"), Name("192.0.2.1")))
    found = planned(world_of(BY_DNS, BOTH, by_http, address))
    assert names_of(found) == ["Obtain certificate:a.example", "Obtain certificate:b.example"]


def test_another_way_to_prove_is_tried_at_once() -> None:
    """
    A failure's wait belongs to the way that failed.
    """
    problem = Problem(type="dnsCredentials", detail="…")
    failed = Attempt(
        tries="certificate:a.example/acme:pebble", digest=BY_DNS.digest, failures=5, problem=problem,
        at=NOW, retry_at=NOW + dt.timedelta(hours=1),
    )  # fmt: skip
    attempts = {failed.tries: failed}
    assert names_of(planned(world_of(BY_DNS), attempts=attempts)) == []
    for changed in ({"challenges": ("dns:home", "http-01")}, {"alias": Name("x.answers.test")}):
        other = dataclasses.replace(BY_DNS, **changed)  # type: ignore[arg-type]
        assert names_of(planned(world_of(other), attempts=attempts)) == ["Obtain certificate:a.example"]


def test_the_digest_of_http_01_alone_is_what_it_always_was() -> None:
    """
    Orders and waits that an older release wrote down stay good.
    """
    assert spec("a.example").digest == "842556bd637a4ab5"


def test_records_that_were_left_are_swept_provider_by_provider() -> None:
    """
    One job each; not while that runs, and not before its time when it failed.
    """
    world = world_of(spec("a.example"))
    leftovers = {
        ("home", "aliyun"): ("_acme-challenge.a.example",),
        ("gone", "aliyun"): ("_acme-challenge.b.example",),
        ("home", "rfc2136"): ("_acme-challenge.c.example",),
    }
    found = planned(world, leftovers=leftovers)
    assert names_of(found) == ["SweepRecords sweep:home"], "what left the configuration is kept"
    assert [action.names for action in found.actions] == [("_acme-challenge.a.example",)]  # type: ignore[union-attr]
    soon = planned(world, leftovers_due=NOW + dt.timedelta(seconds=40))
    assert (names_of(soon), soon.look_at) == ([], NOW + dt.timedelta(seconds=40))
    failed = Attempt(
        tries="sweep:home", digest="", failures=1, problem=Problem(type="dnsProvider", detail="…"),
        at=NOW, retry_at=NOW + dt.timedelta(minutes=1),
    )  # fmt: skip
    later = planned(world, leftovers=leftovers, attempts={failed.tries: failed})
    assert (names_of(later), later.look_at) == ([], failed.retry_at)


def test_addresses_are_looked_at_once_and_then_in_time() -> None:
    """
    A look that lies ahead was dated by a clock that was wrong.
    """
    world = world_of(spec("a.example"), ddns=DDNS)
    assert names_of(planned(world)) == ["KeepAddresses addresses"]
    looked = planned(world, addresses_looked_at=NOW)
    assert (names_of(looked), looked.look_at) == ([], NOW + DDNS.every)
    assert names_of(planned(world, NOW + DDNS.every, addresses_looked_at=NOW)) == ["KeepAddresses addresses"]
    ahead = planned(world, addresses_looked_at=NOW + dt.timedelta(days=400))
    assert names_of(ahead) == ["KeepAddresses addresses"]


def test_changed_settings_of_addresses_are_tried_at_once() -> None:
    """
    The wait after a failure belongs to the settings that failed.
    """
    (action,) = planned(world_of(spec("a.example"), ddns=DDNS)).actions
    (other,) = planned(world_of(spec("a.example"), ddns=dataclasses.replace(DDNS, hosts=(Name("b.example"),)))).actions
    assert key(action) == key(other)
    assert digest(action) != digest(other)
