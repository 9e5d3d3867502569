"""
What can be asked about an account, each as one request.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64encode
from josepy.jwk import JWKEC
from tests.support.fake_acme import DIRECTORY, Board, FakeAcme
from tests.support.quick_clock import QuickClock

from gatelodge.acme import accounts
from gatelodge.acme.binding import ExternalAccount
from gatelodge.acme.signer import Signer
from gatelodge.acme.transport import Transport
from gatelodge.errors import IssuanceError
from gatelodge.model import Secret

CUSTOMER = ExternalAccount(kid="kid-1", hmac_key=Secret(b64encode(b"k" * 32).decode()))


class World:
    """
    A server, its transport and a key.
    """

    def __init__(self) -> None:
        self.server = FakeAcme(QuickClock(), Board())
        self.transport = Transport(directory=DIRECTORY, http=self.server, clock=self.server.clock)
        self.signer = new_signer()

    async def registered(self) -> Signer:
        account = await accounts.register(self.transport, self.signer, email="me@example.com")
        self.server.log.clear()
        return self.signer.known_as(account.url)


def new_signer() -> Signer:
    """
    Make a key that no server knows.
    """
    return Signer(JWKEC(key=ec.generate_private_key(ec.SECP256R1())))


@pytest.fixture
def world() -> World:
    """
    A server with nothing in it.
    """
    return World()


async def test_a_customer_gets_an_account(world: World) -> None:
    """
    Where the server wants one; the fake one verifies the binding.
    """
    world.server.customers = {"kid-1": b"k" * 32}
    account = await accounts.register(world.transport, world.signer, email=None, binding=CUSTOMER)
    assert account.url in world.server.accounts


async def test_a_binding_that_nobody_asked_for_is_sent(world: World) -> None:
    """
    Some servers take customers and strangers; the account should be the customer's.
    """
    await accounts.register(world.transport, world.signer, email=None, binding=CUSTOMER)
    assert world.server.payloads[-1][1]["externalAccountBinding"]["signature"]


async def test_without_a_binding_a_server_that_wants_one_is_not_asked(world: World) -> None:
    """
    Its directory says that it would refuse.
    """
    world.server.customers = {"kid-1": b"k" * 32}
    with pytest.raises(IssuanceError) as caught:
        await accounts.register(world.transport, world.signer, email=None)
    assert caught.value.problem.type == "externalAccountRequired"
    assert "new-account" not in world.server.log


@pytest.mark.parametrize(
    ("kid", "key", "words"),
    [
        ("kid-2", b64encode(b"k" * 32).decode(), "named kid-2 was refused: unauthorized: no customer of ours"),
        ("kid-1", b64encode(b"x" * 32).decode(), "named kid-1 was refused: unauthorized: no customer of ours"),
        ("kid-1", "not base64!", "named kid-1 cannot be used: it is no base64url"),
    ],
)
async def test_a_binding_that_is_refused_is_known_by_its_own_type(world: World, kid: str, key: str, words: str) -> None:
    """
    The server's words are kept: it calls that `unauthorized`, as much else.
    """
    world.server.customers = {"kid-1": b"k" * 32}
    wrong = ExternalAccount(kid=kid, hmac_key=Secret(key))
    with pytest.raises(IssuanceError) as caught:
        await accounts.register(world.transport, world.signer, email=None, binding=wrong)
    assert caught.value.problem.type == "externalAccount"
    assert words in caught.value.problem.detail
    assert key not in caught.value.problem.detail


async def test_other_refusals_of_an_account_keep_their_type(world: World) -> None:
    """
    A limit is a limit, for customers too.
    """
    world.server.scripted["new-account"] = [world.server.problem(429, "rateLimited", retry_after="60")]
    with pytest.raises(IssuanceError) as caught:
        await accounts.register(world.transport, world.signer, email=None, binding=CUSTOMER)
    assert caught.value.problem.type == "rateLimited"
    assert caught.value.problem.retry_after


async def test_an_account_is_read_and_changed(world: World) -> None:
    """
    Its addresses are set as a whole; none takes them away.
    """
    signer = await world.registered()
    assert (await accounts.read(world.transport, signer)).status == "valid"
    changed = await accounts.update(world.transport, signer, email="you@example.com")
    assert changed.contact == ("mailto:you@example.com",)
    assert (await accounts.update(world.transport, signer, email=None)).contact == ()
    assert [payload for operation, payload in world.server.payloads if operation == "account"] == [
        None,
        {"contact": ["mailto:you@example.com"]},
        {"contact": []},
    ]


async def test_an_account_takes_another_key(world: World) -> None:
    """
    The fake server verifies both signatures; then the old key is a stranger's.
    """
    signer, new = await world.registered(), new_signer()
    await accounts.roll_over(world.transport, signer, new)
    assert world.server.log == ["key-change"]
    assert (await accounts.find(world.transport, new)).url == signer.kid
    with pytest.raises(IssuanceError) as caught:
        await accounts.find(world.transport, world.signer)
    assert caught.value.problem.type == "accountDoesNotExist"


async def test_a_server_that_changes_no_keys_says_so_before(world: World) -> None:
    """
    It names no place to ask.
    """
    world.server.services.clear()
    signer = await world.registered()
    with pytest.raises(IssuanceError) as caught:
        await accounts.roll_over(world.transport, signer, new_signer())
    assert caught.value.problem.type == "unsupported"
    assert world.server.log == []


async def test_an_account_that_was_given_up_is_of_no_use(world: World) -> None:
    """
    RFC 8555 §7.3.6.
    """
    signer = await world.registered()
    assert (await accounts.deactivate(world.transport, signer)).status == "deactivated"
    with pytest.raises(IssuanceError) as caught:
        await accounts.read(world.transport, signer)
    assert caught.value.problem.type == "unauthorized"
