"""
A simulated world with two CAs, and with CAs that say when to renew, revoke, and are away for so long that people must hear of it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from tests.support.ca import REFUSED
from tests.world import DAY, HOUR, MINUTE, SECOND, World, inhabited

from gatelodge.api import accounts
from gatelodge.api.accounts import Deed
from gatelodge.api.wishes import Wishes
from gatelodge.core.actions import Reason
from gatelodge.core.due import identifier
from gatelodge.model import RenewalWindow, RevocationReason, Secret
from gatelodge.runtime.journal import REVOKED
from gatelodge.runtime.renewals import RENEWALS
from gatelodge.runtime.standing.report import report

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
        assert world.ca.invited == [False, True]


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


async def test_a_ca_that_tells_nobody_is_asked_once_a_day_and_nothing_is_written() -> None:
    """
    As long as it tells nothing; what it then tells is kept.
    """
    async with inhabited(A) as world:
        await world.live(MINUTE, until=lambda: world.good(A))
        asked = len(world.ca.renewals_asked)
        await world.live(10 * DAY)
        assert 9 <= len(world.ca.renewals_asked) - asked <= 10
        assert await world.documents.get(RENEWALS, A) is None

        world.ca.suggests = near_the_end
        await world.live(2 * DAY)
        assert await world.documents.get(RENEWALS, A) is not None


async def test_a_full_disk_makes_nobody_ask_in_a_loop() -> None:
    """
    What the CA said is known all the same, until the daemon ends.
    """
    async with inhabited(A) as world:
        world.ca.suggests = near_the_end
        await world.live(MINUTE, until=lambda: world.good(A))
        world.documents_disk.full = True
        asked = len(world.ca.renewals_asked)
        await world.live(2 * DAY)
        assert 1 < len(world.ca.renewals_asked) - asked <= 9

        world.documents_disk.full = False
        await world.live(DAY)
        assert await world.documents.get(RENEWALS, A) is not None


# Revocation, and certificates that are late


async def test_a_revoked_certificate_is_served_until_another_is_there() -> None:
    """
    The CA is told, another is got at once, and nothing but the new one counts from then on.
    """
    async with inhabited(A) as world:
        await world.live(MINUTE, until=lambda: world.good(A))
        first = world.store.newest(A)
        assert first is not None
        world.ca.seconds = 600
        wishes = Wishes(world.reconciler, world.clock)
        asked = world._group.create_task(wishes.revoke(A, RevocationReason.KEY_COMPROMISE))
        await world.live(MINUTE)

        assert world.ca.revoked == [(first.serial, RevocationReason.KEY_COMPROMISE)]
        assert told(world)["revoked"]
        assert world.served(A) == first

        await world.live(HOUR, until=asked.done)
        assert asked.result().ok
        assert world.store.newest(A) != first
        await world.live(HOUR)
        assert world.served(A) == world.store.newest(A)
        assert not told(world)["revoked"]
        assert world.events.of("certificate.renewed")[-1]["reason"] == Reason.REVOKED
        assert await world.documents.list(REVOKED) == {}


async def test_that_it_is_revoked_survives_a_crash() -> None:
    """
    Killed at any moment of it, the daemon gets another certificate, or nothing has happened.
    """
    for turns in range(1, 60, 6):
        async with inhabited(A) as world:
            await world.live(MINUTE, until=lambda world=world: world.good(A))  # type: ignore[misc]
            first = world.store.newest(A)
            assert first is not None
            world.reconciler.ask(revoke={A: RevocationReason.SUPERSEDED})
            await world.step(turns)
            await world.kill()
            await world.begin()
            await world.live(HOUR)

            if world.ca.revoked:
                assert world.store.newest(A) != first


async def test_a_ca_that_does_not_revoke() -> None:
    """
    Who asked is told why, and the certificate is as good as before.
    """
    async with inhabited(A) as world:
        await world.live(MINUTE, until=lambda: world.good(A))
        world.ca.refuses_to_revoke = True
        wishes = Wishes(world.reconciler, world.clock)
        answer = await world.grant(wishes.revoke(A, RevocationReason.SUPERSEDED))
        assert not answer.ok
        assert "the token was not there" in answer.message

        world.ca.refuses_to_revoke = False
        await world.live(HOUR)
        assert len(world.ca.signed) == 1
        assert (await world.grant(wishes.revoke(A, RevocationReason.SUPERSEDED))).ok


async def test_what_cannot_be_revoked() -> None:
    """
    What nobody knows, and what no CA signed.
    """
    async with inhabited(A) as world:
        world.ca.down = True
        await world.live(10 * SECOND)
        wishes = Wishes(world.reconciler, world.clock)
        for name, why in (("x.example.com", "no certificate is called"), (A, "there is no certificate for")):
            answer = await world.grant(wishes.revoke(name, RevocationReason.SUPERSEDED))
            assert not answer.ok
            assert why in answer.message
            assert name in answer.message


async def test_people_hear_ever_more_loudly_that_it_is_late() -> None:
    """
    An eighth and a quarter of the time are warnings; then it is an error, until the end. Once each.
    """
    async with inhabited(A) as world:
        await world.live(59 * DAY)
        world.ca.down = True
        await world.live(40 * DAY)
        told_of = [(event["level"], event["days_left"]) for event in world.events.of("certificate.expiring")]

        assert [level for level, _ in told_of] == ["warning", "warning", "error", "error", "error", "error"]
        for (_, left), wanted in zip(told_of, (26.2, 22.5, 15, 7.5, 3.75, 0), strict=True):
            assert abs(float(str(left)) - wanted) < 0.6
        assert told(world)["late"] == 6


async def test_what_is_asked_of_accounts() -> None:
    """
    One CA needs no name; a deed at one without an account says what makes one.
    """
    async with inhabited(A) as world:
        one = dataclasses.replace(world.gate, cas={"acme:letsencrypt": world.ca})
        assert not (await accounts.do(world.gate, Deed.SHOW, name=None)).ok
        assert not (await accounts.do(one, Deed.SHOW, name="zerossl")).ok
        for deed in (Deed.SHOW, Deed.UPDATE, Deed.ROLLOVER, Deed.DEACTIVATE):
            assert "account register" in (await accounts.do(one, deed, name=None)).message
        made = await accounts.do(one, Deed.REGISTER, name="letsencrypt")
        assert made.fields == {"ca": "letsencrypt", "url": "https://ca.example/account/1"}
        changed = await accounts.do(one, Deed.UPDATE, name=None, email="you@example.com")
        assert "you@example.com" in changed.message
        assert "nobody" in (await accounts.do(one, Deed.UPDATE, name=None)).message
        assert (await accounts.do(one, Deed.ROLLOVER, name=None)).ok
        world.ca.down = True
        assert "unreachable" in (await accounts.do(one, Deed.SHOW, name=None)).message
        world.ca.down = False
        assert (await accounts.do(one, Deed.DEACTIVATE, name=None)).ok
        assert not (await accounts.do(one, Deed.DEACTIVATE, name=None)).ok


async def test_a_key_is_kept_where_that_is_wanted() -> None:
    """
    Over renewals, also by another CA; not over a revocation, after which others may have it.
    """
    async with inhabited(A) as world:
        world.cas = BOTH
        world.use(A, more=f'[certificates."{A}"]\nnames = ["{A}"]\nreuse_key = true')
        await world.live(MINUTE, until=lambda: world.good(A))

        async def key() -> Secret:
            held = world.store.newest(A)
            assert held is not None
            return (await world.store.read(A, held.version)).private_key

        first = await key()
        world.ca.down = True
        wishes = Wishes(world.reconciler, world.clock)
        assert (await world.grant(wishes.renew(A, force=True))).ok
        assert world.spare.keys_kept == [first]
        assert await key() == first

        world.ca.down = False
        assert (await world.grant(wishes.revoke(A, RevocationReason.KEY_COMPROMISE))).ok
        assert await key() != first


async def test_a_new_key_is_made_for_each_certificate_otherwise() -> None:
    """
    As one should.
    """
    async with inhabited(A) as world:
        await world.live(61 * DAY)
        assert world.ca.keys_kept == [None, None]
