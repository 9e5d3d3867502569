"""
What a client can ask of a real ACME server beyond certificates, and servers of less usual habits: pebble for customers only, with
several roots, without memory for what was proven, refusing every second nonce, and as future versions of the protocol may be.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from josepy.b64 import b64decode, b64encode
from tests.support import acme2certifier
from tests.support.certificates import certificate_id
from tests.support.customers import giving
from tests.support.fake_acme import Board
from tests.support.pebble_world import Events, PebbleWorld, quiet, running, spec

from gatelodge.acme.binding import ExternalAccount
from gatelodge.errors import IssuanceError
from gatelodge.issuers.acme.issuer import Acme
from gatelodge.issuers.keys import NewKeys
from gatelodge.model import CertificateAuthority, KeyKind, RevocationReason, Secret
from gatelodge.ports import HttpResponse
from gatelodge.runtime.system import SystemClock, Web
from gatelodge.stores.documents import DirectoryDocuments
from gatelodge.stores.memory import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gatelodge.model import CertificateSpec
    from gatelodge.ports import Issued

pytestmark = pytest.mark.live

CUSTOMER = b64encode(b"k" * 32).decode()


async def get(acme: Acme, wanted: CertificateSpec, **options: Any) -> Issued:
    """
    Get a certificate.
    """
    async with acme.issue(wanted, progress=quiet, **options) as issued:
        return issued


async def problem_of(acme: Acme, wanted: CertificateSpec) -> str:
    """
    Fail to get a certificate, and return the type of why.
    """
    with pytest.raises(IssuanceError) as caught:
        await get(acme, wanted)
    return caught.value.problem.type


def top(issued: Issued) -> str:
    """
    Return the name of the root that a chain leads to.
    """
    issuer = x509.load_pem_x509_certificates(issued.chain.encode())[-1].issuer
    return str(issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


class Watched:
    """
    A connection to a server on which answered paths are counted, and that is cut for good once a request to one has been answered.
    """

    def __init__(self, http: Web, cut_after: str = "nothing") -> None:
        self.http = http
        self.cut_after = cut_after
        self.paths: list[str] = []
        self.reached = asyncio.Event()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        response = await self.http.request(method, url, headers=headers, body=body, timeout=timeout)
        if response.status < 300:
            self.paths.append(url)
        if self.cut_after in url and response.status < 300:
            self.reached.set()
            await asyncio.Event().wait()
        return response

    def count(self, path: str) -> int:
        return sum(path in each for each in self.paths)


async def test_a_ca_for_customers_only(tmp_path: Path) -> None:
    """
    Strangers are told so before they ask; a wrong key is refused; a customer gets certificates.
    """
    async with running(tmp_path, customers={"kid-1": CUSTOMER}) as world:
        stranger = Watched(world.http)
        assert await problem_of(world.acme(stranger), spec("a.example")) == "externalAccountRequired"
        assert stranger.count("/sign-me-up") == 0
        wrong = ExternalAccount(kid="kid-1", hmac_key=Secret(b64encode(b"x" * 32).decode()))
        assert await problem_of(world.acme(binding=giving(wrong)), spec("a.example")) == "externalAccount"
        right = ExternalAccount(kid="kid-1", hmac_key=Secret(f"{CUSTOMER}="))
        issued = await get(world.acme(binding=giving(right)), spec("a.example"))
        assert await world.verified(issued, "a.example")


async def test_an_account_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    """
    At a strict server: made, shown, changed, given another key by which certificates are got, and given up; then there is another.
    """
    async with running(tmp_path, strict=True) as world:
        acme = world.acme()
        url = await acme.register(progress=quiet)
        shown = await acme.account(progress=quiet)
        assert shown
        assert (shown.url, shown.status, shown.contact) == (url, "valid", ("mailto:me@example.com",))
        changed = await acme.update_account("you@example.com", progress=quiet)
        assert changed
        assert changed.contact == ("mailto:you@example.com",)
        before: dict[str, Any] = dict(await world.documents.get("accounts", "pebble") or {})
        assert await acme.roll_over(progress=quiet)
        after: dict[str, Any] = dict(await world.documents.get("accounts", "pebble") or {})
        assert (after["kid"], after["key"] != before["key"]) == (before["kid"], True)
        assert await world.verified(await get(acme, spec("a.example")), "a.example")
        assert await world.verified(await get(world.acme(), spec("b.example")), "b.example")
        assert await acme.deactivate_account(progress=quiet)
        assert await world.documents.get("accounts", "pebble") is None
        assert await acme.register(progress=quiet) != url
        # Somebody brings the old document back from a backup.
        await world.documents.put("accounts", "pebble", after)
        assert await problem_of(world.acme(), spec("c.example")) == "unauthorized"
        assert await world.acme().deactivate_account(progress=quiet)


async def test_a_daemon_that_died_while_the_key_changed(tmp_path: Path) -> None:
    """
    The CA has taken the new key, and the answer was not heard: the account is the same, and goes on with it.
    """
    async with running(tmp_path) as world:
        url = await world.acme().register(progress=quiet)
        cut = Watched(world.http, "/rollover-account-key")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(world.acme(cut).roll_over(progress=quiet))
            await cut.reached.wait()
            task.cancel()
        middle: dict[str, Any] = dict(await world.documents.get("accounts", "pebble") or {})
        acme = world.acme()
        assert await world.verified(await get(acme, spec("a.example")), "a.example")
        after: dict[str, Any] = dict(await world.documents.get("accounts", "pebble") or {})
        assert after == {"directory": middle["directory"], "kid": url, "key": middle["next_key"]}


#: A daemon that does nothing but change its account's key, and says when it has one.
RESTLESS = """
import asyncio, sys
from gatelodge.issuers.acme.issuer import Acme
from gatelodge.issuers.keys import NewKeys
from gatelodge.model import CertificateAuthority
from gatelodge.runtime.events.log import Silence
from gatelodge.runtime.system import SystemClock, Web
from gatelodge.stores.documents import DirectoryDocuments

async def main(state, directory, root):
    async with Web(root=root) as http:
        acme = Acme(
            authority=CertificateAuthority(name="pebble", directory=directory, root=root), http=http, clock=SystemClock(),
            documents=DirectoryDocuments(directory=state), keys=NewKeys(), solvers={}, email=None, events=Silence(),
        )
        while True:
            print(await acme.register(progress=str), flush=True)
            await acme.roll_over(progress=str)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_daemon_that_is_killed_while_the_key_changes(tmp_path: Path) -> None:
    """
    With kill -9, at some moment of many changes, again and again: the account stays the same, and certificates come.
    """
    state = tmp_path / "state"
    state.mkdir()
    async with running(tmp_path) as world:
        urls = set()
        for milliseconds in (3, 11, 23, 41):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", RESTLESS, str(state), world.ca.directory, world.ca.root, stdout=asyncio.subprocess.PIPE
            )  # fmt: skip
            assert process.stdout
            urls.add((await process.stdout.readline()).decode().strip())
            await asyncio.sleep(milliseconds / 1000)
            process.kill()
            await process.wait()
        world.documents = DirectoryDocuments(directory=str(state))  # type: ignore[assignment]
        assert await world.verified(await get(world.acme(), spec("a.example")), "a.example")
        assert urls == {await world.acme().register(progress=quiet)}
        assert set(await world.documents.list("accounts")) == {"pebble"}


async def test_certificates_are_revoked(tmp_path: Path) -> None:
    """
    By the account, and by keys of each kind where the account is another, or the key is what is wrong.
    """
    async with running(tmp_path) as world:
        acme = world.acme()
        issued = [
            await get(acme, spec(f"s{number}.example", key=kind))
            for number, kind in enumerate([KeyKind.ECDSA_P256, KeyKind.RSA_2048, KeyKind.ECDSA_P384])
        ]
        await acme.revoke(issued[0], reason=RevocationReason.SUPERSEDED, progress=quiet)
        await acme.revoke(issued[0], reason=None, progress=quiet)
        await acme.revoke(issued[1], reason=RevocationReason.KEY_COMPROMISE, progress=quiet)
        await acme.deactivate_account(progress=quiet)
        await acme.register(progress=quiet)
        await acme.revoke(issued[2], reason=RevocationReason.CESSATION_OF_OPERATION, progress=quiet)
        assert [await status(world, each) for each in issued] == [("Revoked", 4), ("Revoked", 1), ("Revoked", 5)]


async def status(world: PebbleWorld, issued: Issued) -> tuple[str, int | None]:
    """
    Ask pebble's management what became of a certificate.
    """
    serial = x509.load_pem_x509_certificates(issued.chain.encode())[0].serial_number
    answer = await world.http.request("GET", f"{world.ca.management}/cert-status-by-serial/{serial:x}")
    found = json.loads(answer.body)
    return found["Status"], found.get("Reason")


async def test_a_chain_to_another_root(tmp_path: Path) -> None:
    """
    Three are offered, each with three intermediates: the one that is asked for is found by its root's name, and where none is, the
    server's own choice is told.
    """
    environment = {"PEBBLE_ALTERNATE_ROOTS": "2", "PEBBLE_CHAIN_LENGTH": "3"}
    async with running(tmp_path, environment=environment) as world:
        roots = [await world.http.request("GET", f"{world.ca.management}/roots/{number}") for number in range(3)]
        names = [
            str(
                x509.load_pem_x509_certificate(each.body)
                .subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0]
                .value
            )
            for each in roots
        ]
        assert len(set(names)) == 3
        for number, name in enumerate(names):
            issued = await get(world.acme(preferred_chain=name), spec(f"s{number}.example"))
            assert top(issued) == name
            assert len(x509.load_pem_x509_certificates(issued.chain.encode())) == 4
        assert [event for event, _ in world.events.emitted] == ["account.registered"]
        issued = await get(world.acme(preferred_chain="Nobody's Root"), spec("other.example"))
        assert top(issued) == names[0]
        assert world.events.emitted[-1][0] == "certificate.other_chain"
        assert world.events.emitted[-1][1]["root"] == names[0]


async def test_a_hundred_of_a_hundred_while_every_second_nonce_is_refused(tmp_path: Path) -> None:
    """
    None is lost.
    """
    async with running(tmp_path, environment={"PEBBLE_WFE_NONCEREJECT": "50"}) as world:
        acme = world.acme()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(get(acme, spec(f"s{number}.example"))) for number in range(100)]
        certificates = {task.result().chain for task in tasks}
        assert len(certificates) == 100
        assert await world.documents.list("journal/orders") == {}
        assert world.tokens() == []


@pytest.mark.parametrize("reuse", ["0", "100"])
async def test_what_was_proven_is_used_while_the_ca_remembers(tmp_path: Path, reuse: str) -> None:
    """
    Of a certificate whose other name could not be proven, too: what is left of that order is given up, and the good one need not be
    proven again.
    """
    async with running(tmp_path, environment={"PEBBLE_AUTHZREUSE": reuse}) as world:
        elsewhere = json.dumps({"host": "bad.example", "addresses": ["127.0.0.9"]}).encode()
        await world.http.request("POST", f"{world.ca.dns}/add-a", body=elsewhere)
        watched = Watched(world.http)
        acme = world.acme(watched)
        assert await problem_of(acme, spec("a.example", "bad.example")) in {"connection", "unauthorized"}
        assert await world.documents.list("journal/orders") == {}
        for number in range(2):
            issued = await get(acme, dataclasses.replace(spec("a.example"), name=f"c{number}"))
            assert await world.verified(issued, "a.example")
        # At 0, pebble remembers one time in a hundred.
        assert watched.count("/chalZ/") in ({3, 4} if reuse == "0" else {2})


class Modern:
    """
    A connection to pebble on which it has renewal information and profiles, as newer versions of it do: what it says of both is made
    here, everything else is its own.
    """

    def __init__(self, http: Web) -> None:
        self.http = http
        self.replaced: set[str] = set()
        self.orders: list[dict[str, Any]] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        base, _, rest = url.partition("/renewal-info/")
        if rest:
            window = {"start": "2026-12-01T00:00:00Z", "end": "2026-12-03T00:00:00Z"}
            return self._answer(200, {"suggestedWindow": window}, retry_after="21600")
        order: dict[str, object] = {}
        if body is not None and url.endswith("/order-plz"):
            order = json.loads(b64decode(json.loads(body)["payload"]))
            if order.get("replaces") in self.replaced:
                self.orders.append(order)
                kind = "urn:ietf:params:acme:error:alreadyReplaced"
                return self._answer(409, {"type": kind, "detail": "it has a replacement order"})
        response = await self.http.request(method, url, headers=headers, body=body, timeout=timeout)
        if order and response.status == 201:
            # What pebble refused for its nonce comes again.
            self.orders.append(order)
            self.replaced |= {str(order["replaces"])} if "replaces" in order else set()
        if not url.endswith("/dir"):
            return response
        directory = json.loads(response.body)
        directory["renewalInfo"] = base.replace("/dir", "/renewal-info")
        directory["meta"]["profiles"] = {"default": "What it always does"}
        return HttpResponse(status=200, headers=response.headers, body=json.dumps(directory).encode())

    def _answer(self, status: int, document: object, **headers: str) -> HttpResponse:
        found = {name.replace("_", "-"): (value,) for name, value in headers.items()}
        return HttpResponse(status=status, headers=found, body=json.dumps(document).encode())


async def test_a_renewal_names_what_it_replaces(tmp_path: Path) -> None:
    """
    The server takes it once; after that it objects, and an ordinary order is made instead. A profile it lacks costs no order.
    """
    async with running(tmp_path) as world:
        modern = Modern(world.http)
        acme = world.acme(modern)
        issued = await get(acme, spec("a.example"))
        info = await acme.renewal(certificate_id(issued.chain))
        assert info
        assert info.window
        assert info.certificate == certificate_id(issued.chain)
        for _ in range(2):
            await get(acme, spec("a.example"), replaces=info.certificate)
        assert [order.get("replaces") for order in modern.orders] == [None, info.certificate, info.certificate, None]
        wanted = dataclasses.replace(spec("b.example"), profile="shortlived")
        assert await problem_of(acme, wanted) == "invalidProfile"
        await get(acme, dataclasses.replace(spec("b.example"), profile="default"))
        assert len(modern.orders) == 5


async def test_a_server_by_others_tells_when_to_renew(tmp_path: Path) -> None:
    """
    acme2certifier: certificates, its window for one of them, another key, revocation, and the end of the account.
    """
    async with contextlib.AsyncExitStack() as stack:
        directory = await stack.enter_async_context(acme2certifier.running(tmp_path))
        http = await stack.enter_async_context(Web())
        acme = Acme(
            authority=CertificateAuthority(name="other", directory=directory),
            http=http,
            documents=MemoryDocuments(),
            clock=SystemClock(),
            keys=NewKeys(),
            solvers={"http-01": Board()},
            email="me@example.com",
            events=Events(),
        )
        issued = await get(acme, spec("a.example"))
        info = await acme.renewal(certificate_id(issued.chain))
        assert info
        assert info.window
        assert info.retry_after
        leaf = x509.load_pem_x509_certificates(issued.chain.encode())[0]
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        assert abs((info.window.start - leaf.not_valid_before_utc) / life - 0.6) < 0.01
        assert info.retry_after.total_seconds() == 7200
        assert await acme.roll_over(progress=quiet)
        await get(acme, spec("a.example"), replaces=info.certificate)
        await acme.revoke(issued, reason=RevocationReason.SUPERSEDED, progress=quiet)
        assert await acme.deactivate_account(progress=quiet)
        assert await acme.account(progress=quiet) is None
