"""
A simulated world with two CAs, and with CAs that say when to renew.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from tests.support.ca import REFUSED
from tests.world import DAY, HOUR, MINUTE, SECOND, World, inhabited

from gatelodge.api.wishes import Wishes
from gatelodge.core.actions import Reason
from gatelodge.core.due import identifier
from gatelodge.model import RenewalWindow
from gatelodge.runtime.renewals import RENEWALS
from gatelodge.runtime.report import report

if TYPE_CHECKING:
    from typing import Any

    from cryptography import x509

A, B, C = "a.example.com", "b.example.com", "c.example.com"
BOTH = '["letsencrypt", "zerossl"]'
SUBSET = f'[certificates.all]\nnames = ["{A}", "{B}", "{C}"]\non_bad_name = "subset"'


def issuer(world: World, name: str = A) -> str:
    """
    Whose certificate visitors are shown.
    """
    held = world.served(name)
    assert held is not None
    return held.issuer


def told(world: World, name: str = A) -> dict[str, Any]:
    """
    What status says of a certificate.
    """
    look = world.reconciler.latest
    assert look is not None
    (entry,) = [each for each in report(look, world.clock.now())["certificates"] if each["certificate"] == name]
    found: dict[str, Any] = entry
    return found


async def test_the_second_ca_is_asked_while_the_first_is_down_and_the_first_again_afterwards() -> None:
    """
    In the same minute; an event says who was left and why. The renewal goes back.
    """
    async with inhabited(A) as world:
        world.cas = BOTH
        world.use(A)
        world.ca.down = True
        await world.live(MINUTE, until=lambda: world.good(A))

        assert issuer(world) == "acme:zerossl"
        (moved,) = world.events.of("certificate.elsewhere")
        assert (moved["ca"], moved["left"], moved["error.type"]) == ("acme:zerossl", "acme:letsencrypt", "unreachable")
        assert world.events.of("certificate.failed")[0]["ca"] == "acme:letsencrypt"
        await world.live(HOUR)
        assert told(world)["ca"] == "acme:zerossl"
        assert told(world)["failure"] is None

        world.ca.down = False
        await world.live(DAY)
        assert len(world.ca.signed) == 0

        await world.live(61 * DAY)
        assert issuer(world) == "acme:letsencrypt"
        assert len(world.spare.signed) == 1
        # What the second signed is nothing that the first would know.
        assert world.ca.replaced[-1] is None


async def test_what_failed_where_survives_a_crash() -> None:
    """
    A daemon that is killed in between neither asks the first again before its time nor forgets that the second works.
    """
    async with inhabited(A) as world:
        world.cas = BOTH
        world.use(A)
        world.ca.refuses[A] = REFUSED
        world.spare.down = True
        await world.live(10 * SECOND)
        asked = len(world.ca.asked)
        await world.kill()
        world.spare.down = False
        await world.begin()
        await world.live(10 * MINUTE, until=lambda: world.good(A))

        assert issuer(world) == "acme:zerossl"
        assert len(world.ca.asked) == asked


async def test_a_renewal_that_somebody_asks_for_goes_to_the_second_too() -> None:
    """
    When the first fails, in the same wish; and once, whatever becomes of it.
    """
    async with inhabited(A) as world:
        world.cas = BOTH
        world.use(A)
        await world.live(MINUTE, until=lambda: world.good(A))
        world.ca.down = True
        wishes = Wishes(world.reconciler, world.clock)
        answer = await world.grant(wishes.renew(A, force=True))

        assert answer.ok
        assert issuer(world) == "acme:zerossl"
        await world.live(DAY)
        assert len(world.spare.signed) == 1

        world.spare.down = True
        refused = await world.grant(wishes.renew(A, force=True))
        assert not refused.ok
        asked = len(world.ca.asked), len(world.spare.asked)
        await world.live(DAY)
        assert (len(world.ca.asked), len(world.spare.asked)) == asked


async def test_a_bad_name_costs_the_good_ones_nothing() -> None:
    """
    They have a certificate at once; the whole is tried at the pace of its failures, and had once the name is good. Status keeps what is wanted apart
    from what is there.
    """
    async with inhabited(A) as world:
        world.ca.bad = {B}
        world.use(A, more=SUBSET)
        await world.live(MINUTE, until=lambda: world.good("all"))

        held = world.served("all")
        assert held is not None
        assert set(held.names) == {A, C}
        entry = told(world, "all")
        assert entry["names"] == [A, B, C]
        assert entry["lacking"] == [B]
        assert "NXDOMAIN" in entry["failure"]["error.detail"]
        signed = len(world.ca.signed)

        await world.live(10 * DAY)
        assert len(world.ca.signed) == signed
        assert 10 <= len(world.ca.tries("all")) <= 16

        world.ca.bad = set()
        await world.live(2 * DAY)
        held = world.served("all")
        assert held is not None
        assert set(held.names) == {A, B, C}
        assert told(world, "all")["lacking"] == []


async def test_a_part_is_renewed_in_time() -> None:
    """
    A name that stays bad for months keeps nobody's certificate from being renewed.
    """
    async with inhabited(A) as world:
        world.ca.bad = {B}
        world.use(A, more=SUBSET)
        await world.live(200 * DAY)

        assert not world.expired
        assert world.good("all")
        assert len([each for each in world.ca.signed if each.name == "all"]) == 4


# When the CA says to renew


def near_the_end(certificate: x509.Certificate) -> RenewalWindow:
    """
    A window later than the usual third.
    """
    end = certificate.not_valid_after_utc
    return RenewalWindow(start=end - 20 * DAY, end=end - 18 * DAY)


async def test_a_ca_that_suggests_a_time_has_its_way() -> None:
    """
    It is asked right after issuance; a moment within its window is chosen and kept, shown in status, and the order says what it replaces.
    """
    async with inhabited(A) as world:
        world.ca.suggests = near_the_end
        await world.live(MINUTE, until=lambda: world.good(A))
        await world.live(MINUTE)
        first = world.store.newest(A)
        assert first is not None
        suggested = told(world)["suggested"]
        moment = dt.datetime.fromisoformat(suggested["chosen"])
        assert first.not_after - 20 * DAY <= moment <= first.not_after - 18 * DAY
        assert told(world)["renew_at"] == moment.isoformat()

        await world.kill()
        await world.begin()
        await world.live(60 * DAY)
        assert told(world)["suggested"] == suggested
        assert world.store.newest(A) == first

        await world.live(moment - world.clock.now() + MINUTE)
        (renewed,) = world.events.of("certificate.renewed")
        assert renewed["reason"] == Reason.SUGGESTED
        assert world.ca.replaced == [None, identifier(first)]


async def test_a_window_in_the_past_renews_now() -> None:
    """
    As before a revocation; an event says why, once.
    """
    async with inhabited(A) as world:
        world.ca.suggests = near_the_end
        await world.live(5 * DAY)
        first = world.store.newest(A)
        assert first is not None
        now = world.ca.now()
        world.ca.explanation = "https://ca.example/incident"
        world.ca.suggests = lambda each: (
            RenewalWindow(start=now - 2 * DAY, end=now - DAY)
            if f"{each.serial_number:x}" == first.serial
            else near_the_end(each)
        )
        await world.live(7 * HOUR, until=lambda: world.served(A) != first)

        (moved,) = world.events.of("certificate.renewal.moved")
        assert (moved["certificate"], moved["explanation"]) == (A, "https://ca.example/incident")
        await world.live(10 * DAY)
        assert len(world.events.of("certificate.renewal.moved")) == 1
        assert len(world.ca.signed) == 2


async def test_a_ca_that_does_not_answer_changes_nothing() -> None:
    """
    Its dates decide, as if it suggested nothing; it is asked again now and then, and nobody is told.
    """
    async with inhabited(A) as world:
        await world.live(MINUTE, until=lambda: world.good(A))
        first = world.store.newest(A)
        assert first is not None
        world.ca.down = True
        asked = len(world.ca.renewals_asked)
        await world.live(59 * DAY)

        assert 3 * 59 <= len(world.ca.renewals_asked) - asked <= 4 * 59
        assert not world.events.of("certificate.failed")
        world.ca.down = False
        await world.live(2 * DAY)
        assert len(world.ca.signed) == 2


async def test_a_full_disk_makes_nobody_ask_in_a_loop() -> None:
    """
    What the CA said is known all the same, until the daemon ends.
    """
    async with inhabited(A) as world:
        await world.live(MINUTE, until=lambda: world.good(A))
        world.documents_disk.full = True
        asked = len(world.ca.renewals_asked)
        await world.live(DAY)
        assert len(world.ca.renewals_asked) - asked <= 5

        world.documents_disk.full = False
        await world.live(DAY)
        assert await world.documents.get(RENEWALS, A) is not None
