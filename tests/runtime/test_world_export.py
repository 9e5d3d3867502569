"""
Years in which a certificate is copied for another program: places that break, programs that fail, a daemon that is killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from tests.support.exporter import FakeExporter
from tests.world import DAY, HOUR, MINUTE, World, inhabited

from gatelodge.runtime.standing.report import healthy, report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WIKI = "wiki.example.com"
PLACE = "/srv/mail"


@contextlib.asynccontextmanager
async def copying(command: str = "/bin/reload") -> AsyncIterator[tuple[World, FakeExporter]]:
    """
    A world in which the certificate of one site is copied.
    """
    async with inhabited(WIKI) as world:
        exporter = FakeExporter()
        made = world.configured(
            more=f'[sites."{WIKI}"]\nupstream = "http://127.0.0.1:1"\nexport = {{ directory = "{PLACE}", command = ["{command}"] }}'
        )
        world.gate = dataclasses.replace(made, exporter=exporter)
        world.reconciler.use(world.gate)
        yield world, exporter


async def test_it_is_copied_whenever_it_is_renewed() -> None:
    """
    Once each: the copy is always of the certificate that is served, and the program hears of it as often.
    """
    async with copying() as (world, exporter):
        await world.live(HOUR)
        await world.live(200 * DAY)
        times = len(world.events.of("certificate.issued")) + len(world.events.of("certificate.renewed"))
        newest = world.store.newest(WIKI)

        assert times >= 3
        assert exporter.told == [PLACE] * times
        assert newest is not None
        assert exporter.written[PLACE] == (await world.store.read(WIKI, newest.version)).chain
        assert [event["serial"] for event in world.events.of("certificate.exported")][-1] == newest.serial


async def test_a_place_that_breaks_stops_nothing_else() -> None:
    """
    The certificate is served and renewed meanwhile; the failure stands in `status`, is tried again ever less often, and over a
    restart; mended, the copy is made within the hour.
    """
    async with copying() as (world, exporter):
        exporter.broken = True
        await world.live(30 * DAY)
        failed = world.events.of("certificate.export.failed")
        look = world.reconciler.latest
        assert look is not None
        document = report(look, world.clock.now())
        (entry,) = [each for each in document["certificates"] if each["certificate"] == WIKI]

        assert world.good(WIKI)
        assert failed[0]["place"] == PLACE
        assert 600 < len(failed) < 800
        assert entry["exports"][0]["failure"]["error.detail"] == f"export: {PLACE}: it is broken; mend it"
        assert not healthy(document)

        await world.kill()
        await world.begin()
        exporter.broken = False
        await world.live(2 * HOUR)
        assert exporter.told == [PLACE]


async def test_a_program_that_fails_is_run_again() -> None:
    """
    Until it works, though the files are there.
    """
    async with copying("/bin/false") as (world, exporter):
        await world.live(10 * MINUTE)

        assert PLACE in exporter.written
        assert 2 <= len(world.events.of("certificate.export.failed")) <= 4


async def test_a_daemon_killed_anywhere_copies_all_the_same() -> None:
    """
    Whenever it dies on the way, the next one makes the copy of what is served.
    """
    for turns in range(0, 300, 25):
        async with copying() as (world, exporter):
            await world.step(turns)
            await world.kill()
            await world.begin()
            await world.live(HOUR)
            newest = world.store.newest(WIKI)

            assert newest is not None
            assert not newest.placeholder
            assert exporter.written[PLACE] == (await world.store.read(WIKI, newest.version)).chain


async def test_nothing_is_said_to_stand_in_for_what_no_visitor_sees() -> None:
    """
    Before there is a certificate: a site has the placeholder, a program has nothing, and neither has the second of two.
    """
    async with inhabited(WIKI) as world:
        world.ca.down = True
        world.gate = world.configured(
            more=f'[sites."{WIKI}"]\nupstream = "http://127.0.0.1:1"\nkey = ["ecdsa-p256", "rsa-2048"]\n'
            f'[certificates.mail]\nnames = ["mail.example.com"]\nexport = {{ directory = "{PLACE}" }}'
        )
        world.reconciler.use(world.gate)
        await world.live(MINUTE)
        look = world.reconciler.latest
        assert look is not None
        states = {each["certificate"]: each["state"] for each in report(look, world.clock.now())["certificates"]}
        assert states == {WIKI: "placeholder", f"{WIKI}.rsa": "missing", "mail": "missing"}
