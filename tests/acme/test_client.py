"""
Orders that replace, profiles, chains, revocation, and when to renew: each as one request or a few.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from acme.jws import JWS
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64decode, b64encode
from josepy.jwk import JWKEC
from tests.support.certificates import certificate_id
from tests.support.fake_acme import BASE, DIRECTORY, Board, FakeAcme
from tests.support.quick_clock import QuickClock

from gatelodge.acme import accounts, csr, problems
from gatelodge.acme import client as acme
from gatelodge.acme.client import Client
from gatelodge.acme.signer import Signer
from gatelodge.acme.transport import Transport
from gatelodge.errors import HttpDisconnected, IssuanceError, Problem
from gatelodge.issuers.keys import NewKeys
from gatelodge.model import KeyKind, Name, RevocationReason, Secret

if TYPE_CHECKING:
    from gatelodge.acme.messages import Order

NAMES = [Name("a.example")]


class World:
    """
    A server, its transport and an account.
    """

    def __init__(self) -> None:
        self.clock = QuickClock()
        self.board = Board()
        self.server = FakeAcme(self.clock, self.board)
        self.transport = Transport(directory=DIRECTORY, http=self.server, clock=self.clock)

    async def client(self) -> Client:
        signer = Signer(JWKEC(key=ec.generate_private_key(ec.SECP256R1())))
        account = await accounts.register(self.transport, signer, email=None)
        self.server.log.clear()
        return Client(transport=self.transport, signer=signer.known_as(account.url))

    async def issued(self, client: Client, kind: KeyKind = KeyKind.ECDSA_P256) -> tuple[Order, Secret]:
        """
        Get a certificate by as few requests as it takes.
        """
        order = await client.new_order(NAMES, profile=None)
        (authorization,) = await client.authorizations(order.authorizations)
        way = next(way for way in authorization.challenges if way.type == "http-01")
        self.board.visible[way.token or ""] = client.key_authorization(way.token or "")
        await client.answer(way)
        pem = await NewKeys().new(kind)
        key: Any = serialization.load_pem_private_key(pem.reveal().encode(), None)
        order = await client.finalize(order, csr.make(key, NAMES))
        assert order.certificate
        return order, pem

    def sent(self, operation: str) -> list[Any]:
        return [payload for asked, payload in self.server.payloads if asked == operation]


@pytest.fixture
def world() -> World:
    """
    A server with nothing in it.
    """
    return World()


def der(pem: str) -> bytes:
    """
    Return the first certificate of a chain as DER.
    """
    return x509.load_pem_x509_certificates(pem.encode())[0].public_bytes(serialization.Encoding.DER)


async def test_an_order_says_what_it_replaces(world: World) -> None:
    """
    RFC 9773 §5; the server says in turn that it took that.
    """
    client = await world.client()
    assert (await client.new_order(NAMES, profile=None, replaces="aki.serial")).replaces == "aki.serial"
    assert world.sent("new-order")[-1]["replaces"] == "aki.serial"


async def test_a_server_without_renewal_info_is_not_told_what_is_replaced(world: World) -> None:
    """
    It does not know the field.
    """
    del world.server.services["renewalInfo"]
    client = await world.client()
    assert (await client.new_order(NAMES, profile=None, replaces="aki.serial")).replaces is None
    assert "replaces" not in world.sent("new-order")[-1]


@pytest.mark.parametrize(
    ("status", "kind", "detail"),
    [
        (409, "alreadyReplaced", "cannot indicate an order replaces certificate with serial 04, which already has a replacement order"),
        (409, "malformed", "conflict"),
        (404, "malformed", "Could not validate ARI 'replaces' field :: path contained an Authority Key Identifier that did not match a known issuer"),
        (404, "malformed", "could not find an order for the given certificate"),
        (400, "malformed", "parsing ARI CertID failed"),
        (400, "malformed", "identifiers in this order do not match any identifiers in the certificate being replaced"),
        (403, "unauthorized", "requester account did not request the certificate being replaced by this order"),
        (500, "serverInternal", "Could not validate ARI 'replaces' field :: failed to retrieve existing certificate"),
    ],
)  # fmt: skip
async def test_a_server_that_objects_is_understood(world: World, status: int, kind: str, detail: str) -> None:
    """
    In the words that Boulder and pebble have for it. What follows is for whoever pays.
    """
    client = await world.client()
    world.server.objection = world.server.problem(status, kind, detail)
    with pytest.raises(IssuanceError) as caught:
        await client.new_order(NAMES, profile="classic", replaces="aki.serial")
    assert problems.objects_to_replaces(caught.value.problem)
    assert [payload["replaces"] for payload in world.sent("new-order")] == ["aki.serial"]


@pytest.mark.parametrize(
    ("status", "kind", "detail"),
    [
        (429, "rateLimited", "too many certificates; see which replace others"),
        (400, "accountDoesNotExist", "replaced"),
        (403, "userActionRequired", "the terms were replaced"),
        (400, "rejectedIdentifier", "not that name"),
        (400, "malformed", "no identifiers"),
    ],
)
async def test_other_refusals_are_none_of_what_is_replaced(world: World, status: int, kind: str, detail: str) -> None:
    """
    What is refused for another reason would be refused again, and cost more.
    """
    client = await world.client()
    world.server.objection = world.server.problem(status, kind, detail)
    with pytest.raises(IssuanceError) as caught:
        await client.new_order(NAMES, profile=None, replaces="aki.serial")
    assert caught.value.problem.type == kind
    assert not problems.objects_to_replaces(caught.value.problem)
    assert world.server.log == ["new-order"]


async def test_a_lost_answer_to_an_order_that_replaces_is_not_repeated(world: World) -> None:
    """
    There may be an order that nobody knows, as without.
    """
    client = await world.client()
    world.server.lose_after["new-order"] = 1
    with pytest.raises(HttpDisconnected):
        await client.new_order(NAMES, profile=None, replaces="aki.serial")
    assert world.server.log == ["new-order"]


def test_an_objection_is_about_what_is_replaced() -> None:
    """
    A document of a type that nobody knows yet is one when it speaks of that.
    """
    assert problems.objects_to_replaces(Problem(type="x", detail="the certID is odd", status=422))
    assert not problems.objects_to_replaces(Problem(type="x", detail="charisma", status=422))


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        ({"classic": "As always", "bare": ""}, ["'tlsserver'", "classic (As always); bare"]),
        ({}, ["'tlsserver'", "offers none", "take `profile` out"]),
    ],
)
async def test_a_profile_that_is_not_offered_costs_nothing(
    world: World, offered: dict[str, object], words: list[str]
) -> None:
    """
    What is offered is told, and the server is not asked.
    """
    world.server.profiles = offered
    client = await world.client()
    with pytest.raises(IssuanceError) as caught:
        await client.new_order(NAMES, profile="tlsserver")
    assert caught.value.problem.type == "invalidProfile"
    assert all(word in caught.value.problem.detail for word in words)
    assert world.server.log == []


@pytest.mark.parametrize(
    ("preferred", "root", "fits", "requests"),
    [
        (None, "Root A", True, 1),
        ("root a", "Root A", True, 1),
        ("Root B", "Root B", True, 2),
        ("Root C", "Root C", True, 3),
        ("Root D", "Root A", False, 3),
    ],
)
async def test_a_chain_is_chosen_by_its_root(
    world: World, preferred: str | None, root: str, *, fits: bool, requests: int
) -> None:
    """
    Others than the server's own choice are asked for only where they are needed, and until one fits; the server's own choice is
    taken where none does.
    """
    client = await world.client()
    world.server.roots = ("Root A", "Root B", "Root C")
    order, _ = await world.issued(client)
    world.server.log.clear()
    chain = await client.certificate(order.certificate or "", preferred=preferred)
    assert (chain.root, chain.preferred) == (root, fits)
    assert world.server.log == ["certificate"] * requests


@pytest.mark.parametrize("trouble", ["refused", "gone", "garbage"])
async def test_a_chain_that_cannot_be_had_costs_no_certificate(world: World, trouble: str) -> None:
    """
    The others are looked at, and at the end there is the server's own choice.
    """
    client = await world.client()
    world.server.roots = ("Root A", "Root B", "Root C")
    order, _ = await world.issued(client)
    own = await client.certificate(order.certificate or "")
    others = tuple(f'<{BASE}/{path}>;rel="alternate"' for path in ("bad/1", "certificate/0"))
    bad = {
        "refused": world.server.problem(404, "malformed"),
        "garbage": world.server.answer(b"<html>"),
        "gone": world.server.problem(410, "malformed"),
    }
    world.server.scripted = {
        "certificate": [world.server.answer(own.pem.encode(), link=", ".join(others)), world.server.answer(b"")],
        "bad": [bad[trouble]],
    }
    assert await client.certificate(order.certificate or "", preferred="Root C") == type(own)(
        pem=own.pem, root="Root A", preferred=False
    )


async def test_a_server_that_falls_silent_is_not_asked_for_all_its_chains(world: World) -> None:
    """
    A certificate is at hand, and each silence takes its time.
    """
    client = await world.client()
    world.server.roots = ("Root A", "Root B", "Root C")
    order, _ = await world.issued(client)
    world.server.log.clear()

    async def gate(when: str, operation: str) -> None:
        if (when, operation) == ("after", "certificate"):
            world.server.unreachable = True

    world.server.gate = gate
    assert (await client.certificate(order.certificate or "", preferred="Root C")).root == "Root A"
    assert world.server.log.count("certificate") == 2
    assert sum(world.clock.slept) < 5


async def test_the_account_revokes(world: World) -> None:
    """
    With the reason's number, or without one; once more does nothing.
    """
    client = await world.client()
    order, _ = await world.issued(client)
    certificate = der((await client.certificate(order.certificate or "")).pem)
    await client.revoke(certificate, reason=RevocationReason.SUPERSEDED)
    await client.revoke(certificate)
    assert list(world.server.revoked.values()) == [(4, "account")]
    assert world.sent("revoke")[-1] == {"certificate": b64encode(certificate).decode()}


@pytest.mark.parametrize("kind", [KeyKind.ECDSA_P256, KeyKind.ECDSA_P384, KeyKind.RSA_2048])
async def test_the_certificates_own_key_revokes(world: World, kind: KeyKind) -> None:
    """
    Whoever has it, has a say, with no account at all.
    """
    client = await world.client()
    order, key = await world.issued(client, kind)
    certificate = der((await client.certificate(order.certificate or "")).pem)
    await acme.revoke(world.transport, Signer.of_certificate(key), certificate, reason=RevocationReason.KEY_COMPROMISE)
    assert list(world.server.revoked.values()) == [(1, "certificate")]


async def test_another_account_cannot_revoke(world: World) -> None:
    """
    The server's words come through.
    """
    client = await world.client()
    order, _ = await world.issued(client)
    certificate = der((await client.certificate(order.certificate or "")).pem)
    with pytest.raises(IssuanceError) as caught:
        await (await world.client()).revoke(certificate)
    assert caught.value.problem.type == "unauthorized"
    assert not world.server.revoked


async def test_a_server_that_cannot_revoke_says_so_before(world: World) -> None:
    """
    It names no place to ask.
    """
    world.server.services.clear()
    client = await world.client()
    with pytest.raises(IssuanceError) as caught:
        await client.revoke(b"")
    assert caught.value.problem.type == "unsupported"
    assert world.server.log == []


def test_reasons_have_their_numbers() -> None:
    """
    RFC 5280 §5.3.1.
    """
    assert {reason.value: reason.code for reason in RevocationReason} == {
        "unspecified": 0,
        "keyCompromise": 1,
        "affiliationChanged": 3,
        "superseded": 4,
        "cessationOfOperation": 5,
        "privilegeWithdrawn": 9,
    }


async def test_renewal_is_asked_for_without_a_signature(world: World) -> None:
    """
    A plain request (RFC 9773 §4.1), by the certificate's identifier.
    """
    client = await world.client()
    order, _ = await world.issued(client)
    certificate = certificate_id((await client.certificate(order.certificate or "")).pem)
    world.server.log.clear()
    found = await acme.ask_renewal(world.transport, certificate)
    assert found
    assert (found.certificate, found.window is not None) == (certificate, True)
    assert world.server.log == ["renewal-info"]


async def test_a_server_that_tells_nothing_of_renewal_is_not_asked(world: World) -> None:
    """
    It has no such place in its directory.
    """
    world.server.services.clear()
    assert await acme.ask_renewal(world.transport, "aki.serial") is None
    assert world.server.log == ["directory"]


async def test_a_refused_question_about_renewal_is_a_problem(world: World) -> None:
    """
    A certificate that the server never saw; trouble that passes is tried again first.
    """
    with pytest.raises(IssuanceError) as caught:
        await acme.ask_renewal(world.transport, "aki.serial")
    assert (caught.value.problem.type, caught.value.problem.status) == ("malformed", 404)
    world.server.scripted["renewal-info"] = [world.server.answer(b"", 503)]
    with pytest.raises(IssuanceError):
        await acme.ask_renewal(world.transport, "aki.serial")
    assert world.server.log.count("renewal-info") == 3


async def test_only_keys_of_certificates_are_keys_of_certificates() -> None:
    """
    Others are refused, and not shown.
    """
    odd = ec.generate_private_key(ec.SECP521R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValueError, match="neither RSA nor ECDSA"):
        Signer.of_certificate(Secret(odd.decode()))


async def test_an_inner_signature_has_no_nonce() -> None:
    """
    The request around it has one (RFC 8555 §7.3.5).
    """
    signer = Signer(JWKEC(key=ec.generate_private_key(ec.SECP256R1())))
    inner = signer.sign_inner({"a": 1}, url=f"{BASE}/key-change")
    header = json.loads(b64decode(str(inner["protected"])))
    assert header == {"alg": "ES256", "jwk": signer.public_key, "url": f"{BASE}/key-change"}
    assert JWS.from_json(inner).verify(JWS.from_json(inner).signature.combined.jwk)
