"""
Years with certificates that a person brings: he forgets it, errs, comes back.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from tests.support.brought import FakeBrought
from tests.support.clock import START
from tests.support.pems import Bought, buy
from tests.world import DAY, HOUR, MINUTE, World, inhabited

from gatelodge.api.wishes import Wishes
from gatelodge.model import FILES, AcmeIssuer, FileIssuer
from gatelodge.runtime.standing.report import healthy, report
from gatelodge.runtime.standing.summary import summary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gatelodge.model import CertificateSpec

NAS, WIKI = "nas.example.com", "wiki.example.com"
FILE = FileIssuer(certificate="/certs/nas.crt", key="/certs/nas.key")


def year(number: int, *names: str) -> Bought:
    """
    A certificate for the so many-th year of the world.
    """
    begins = START + (number - 1) * 365 * DAY
    return buy(*(names or (NAS,)), begins=begins - DAY, ends=begins + 365 * DAY)


def given(world: World, spec: CertificateSpec) -> None:
    """
    Have the daemon go on with another spec for the one site.
    """
    desired = world.gate.desired
    certificates = {**desired.certificates, NAS: spec}
    world.gate = dataclasses.replace(world.gate, desired=dataclasses.replace(desired, certificates=certificates))
    world.reconciler.use(world.gate)


@contextlib.asynccontextmanager
async def bringing(bought: Bought | None) -> AsyncIterator[tuple[World, FakeBrought]]:
    """
    A world in which one of two sites is served with what lies in files.
    """
    async with inhabited(NAS, WIKI) as world:
        brought = FakeBrought()
        if bought:
            brought.there[FILE.certificate] = bought
        world.gate = dataclasses.replace(world.gate, brought=brought)
        given(world, dataclasses.replace(world.gate.desired.certificates[NAS], issuer=FILE))
        yield world, brought


def change(world: World, brought: FakeBrought, what: Bought | str) -> None:
    """
    Change the files, and have it noticed.
    """
    brought.there[FILE.certificate] = what
    world.reconciler.wake()


def line(world: World) -> str:
    """
    Say how things stand.
    """
    look = world.reconciler.latest
    assert look is not None
    return summary(look, world.clock.now())


async def test_it_is_served_at_once_and_until_he_brings_another() -> None:
    """
    No placeholder, no order; what he brings later is served within a moment, and never renewed by us.
    """
    async with bringing(year(1)) as (world, brought):
        await world.live(MINUTE)
        first = world.served(NAS)
        assert first is not None
        assert (first.issuer, first.version) == (FILES, 1)
        assert {each.name for each in world.ca.asked} == {WIKI}
        await world.live(100 * DAY)
        assert brought.taken == [NAS]
        newer = year(2)
        change(world, brought, newer)
        await world.live(MINUTE)
        second = world.served(NAS)
        assert second is not None
        assert second.fingerprint == newer.fingerprint
        assert [event["certificate"] for event in world.events.of("certificate.taken")] == [NAS, NAS]


async def test_a_mistake_of_his_costs_nobody_anything() -> None:
    """
    What was served goes on; it is told once, again each day at most, in the status too; mended files end it.
    """
    async with bringing(year(1)) as (world, brought):
        await world.live(MINUTE)
        good = brought.there[FILE.certificate]
        assert isinstance(good, Bought)
        change(world, brought, "the key in /certs/nas.key is encrypted; openssl pkey …")
        await world.live(HOUR)
        failures = world.events.of("certificate.failed")
        assert {event["error.type"] for event in failures} == {"files"}
        assert "is encrypted" in str(failures[0]["error.detail"])
        assert len(failures) == 3, "after 1 and 11 minutes, then in 100"
        assert world.served(NAS) is not None
        assert world.good(WIKI, NAS)
        assert f"{NAS} failed: files" in line(world)
        change(world, brought, good)
        await world.live(MINUTE)
        assert "failed" not in line(world)
        assert world.good(NAS)


async def test_files_that_are_not_there_yet_are_waited_for() -> None:
    """
    With a placeholder; the other site is served meanwhile.
    """
    async with bringing(None) as (world, brought):
        await world.live(MINUTE)
        shown = world.served(NAS)
        assert shown is not None
        assert shown.placeholder
        assert world.good(WIKI)
        change(world, brought, year(1))
        await world.live(MINUTE)
        assert world.good(NAS)


async def test_its_end_is_told_in_time_and_it_is_served_beyond_it() -> None:
    """
    Weeks before, not years; once a level; then that it has ended. The gate is not well then, and serves what there is.
    """
    async with bringing(year(1)) as (world, brought):
        await world.live(330 * DAY)
        assert NAS not in [event["certificate"] for event in world.events.of("certificate.expiring")]
        assert "which you bring" not in line(world)
        await world.live(20 * DAY)
        told = [event for event in world.events.of("certificate.expiring") if event["certificate"] == NAS]
        assert [round(float(str(event["days_left"]))) for event in told] == [30, 15]
        assert "put the new one into /certs/nas.crt" in str(told[0]["error.detail"])
        assert f"{NAS}, which you bring, ends in" in line(world)
        await world.live(40 * DAY)
        assert f"{NAS}, which you bring, has ended" in line(world)
        look = world.reconciler.latest
        assert look is not None
        document = report(look, world.clock.now())
        assert not healthy(document)
        (entry,) = [each for each in document["certificates"] if each["certificate"] == NAS]
        assert (entry["state"], entry["renew_at"], entry["ca"]) == ("expired", None, FILES)
        assert world.served(NAS) is not None
        change(world, brought, year(2))
        await world.live(MINUTE)
        assert healthy(report(world.reconciler.latest, world.clock.now()))  # type: ignore[arg-type]


async def test_who_asks_for_a_renewal_is_told_whose_it_is() -> None:
    """
    And with `--force` what lies there is taken again.
    """
    async with bringing(year(1)) as (world, brought):
        await world.live(MINUTE)
        wishes = Wishes(world.reconciler, world.clock)
        answer = await world.grant(wishes.renew(NAS, force=False))
        assert not answer.ok
        assert "yours to renew" in answer.message
        assert FILE.certificate in answer.message
        answer = await world.grant(wishes.renew(NAS, force=True))
        assert answer.ok, answer.message
        change(world, brought, "it is encrypted")
        await world.live(MINUTE)
        answer = await world.grant(wishes.renew(NAS, force=False))
        assert not answer.ok
        assert "it is encrypted" in answer.message


async def test_from_a_ca_to_files_and_back() -> None:
    """
    Whoever is asked for, the other's goes on until it is there; and what the CA gave before is not mistaken for it.
    """
    async with bringing(None) as (world, brought):
        files = world.gate.desired.certificates[NAS]
        given(world, dataclasses.replace(files, issuer=AcmeIssuer(ca="letsencrypt")))
        await world.live(MINUTE)
        assert world.good(NAS)
        given(world, files)
        await world.live(MINUTE)
        shown = world.served(NAS)
        assert shown is not None
        assert shown.issuer == "acme:letsencrypt", "there is nothing in the files"
        change(world, brought, year(1))
        await world.live(MINUTE)
        shown = world.served(NAS)
        assert shown is not None
        assert shown.issuer == FILES
        given(world, dataclasses.replace(files, issuer=AcmeIssuer(ca="letsencrypt")))
        await world.live(MINUTE)
        shown = world.served(NAS)
        assert shown is not None
        assert shown.issuer == "acme:letsencrypt"
