"""
An ACME server in this process, behind the `Http` port, that can be as unkind as one wishes.

It verifies signatures, nonces and `url` headers as a real one does, and offers challenges and fields nobody knows. It is no
proof that we speak ACME well (pebble is), but that we bear what a real server rarely does.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime as dt
import email.utils
import itertools
import json
from typing import TYPE_CHECKING, Any

from acme.jws import JWS
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64decode, b64encode
from josepy.jwk import JWK, JWKOct

from gatelodge.errors import HttpDisconnected, HttpUnreachable, Problem
from gatelodge.ports import HttpResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from gatelodge.model import Name
    from gatelodge.ports import Challenge, Clock

BASE = "https://ca.test"
DIRECTORY = f"{BASE}/directory"
URN = "urn:ietf:params:acme:error:"


class Board:
    """
    A solver whose answers hang on a board that the fake server can see.
    """

    def __init__(self, type: str = "http-01") -> None:  # noqa: A002 - as the port calls it
        self.type = type
        self.visible: dict[str, str] = {}
        self.calls: list[tuple[str, ...]] = []
        self.fail: Exception | None = None
        self.refused: dict[Name, Problem] = {}

    async def refuses(self, names: Sequence[Name], *, alias: Name | None) -> Mapping[Name, Problem]:
        del names, alias
        return self.refused

    @contextlib.asynccontextmanager
    async def published(self, challenges: Sequence[Challenge], **_: object) -> AsyncIterator[None]:
        self.calls.append(tuple(challenge.name for challenge in challenges))
        try:
            for challenge in challenges:
                self.visible[challenge.token] = challenge.key_authorization
            await asyncio.sleep(0)
            if self.fail is not None:
                raise self.fail
            yield
        finally:
            for challenge in challenges:
                del self.visible[challenge.token]


class Refusal(Exception):
    """
    A problem document on its way out.
    """

    def __init__(self, status: int, kind: str, detail: str, **more: object) -> None:
        super().__init__(kind)
        self.status = status
        self.document = {"type": URN + kind, "detail": detail, "status": status, **more}


@dataclasses.dataclass(kw_only=True)
class FakeAuthorization:
    """
    An authorization. `polls` below nothing: it is being checked, and so often will be asked for before that ends.
    """

    name: str
    token: str
    kid: str
    status: str = "pending"
    error: object = None
    polls: int = 0
    patience: int = 0
    wildcard: bool = False


@dataclasses.dataclass(kw_only=True)
class FakeOrder:
    """
    An order. `status` overrides what follows from the rest.
    """

    kid: str
    names: tuple[str, ...]
    authorizations: list[int]
    expires: dt.datetime | None
    profile: str | None = None
    replaces: str | None = None
    status: str | None = None
    polls: int = 0
    csr: x509.CertificateSigningRequest | None = None


class FakeAcme:
    """
    The server. Its knobs:

    `lose_before`, `lose_after`: how many requests of an operation end without an answer, unseen or acted on.
    `scripted`: answers given in place of its own, by operation. `bad_nonces`: how many good nonces are refused.
    `gate`: awaited before (`"before"`) and after (`"after"`) each request is acted on.
    `services`: what its directory names beyond orders; `customers`: keys of external accounts by kid, one of which is wanted when
    there are any; `identities`: what it is called in CAA records; `roots`: names of the roots its chains lead to, the first its own choice; `window`: the renewal info it gives,
    None for the middle of a certificate's life; `objection`: what it says to an order that replaces something.
    """

    def __init__(self, clock: Clock, *boards: Board, lists_orders: bool = True, base: str = BASE) -> None:
        self.base = base
        self.clock = clock
        self.boards = boards
        self.lists_orders = lists_orders
        self.log: list[str] = []
        self.payloads: list[tuple[str, Any]] = []
        self.lose_before: collections.Counter[str] = collections.Counter()
        self.lose_after: collections.Counter[str] = collections.Counter()
        self.scripted: dict[str, list[HttpResponse]] = {}
        self.bad_nonces = 0
        self.unreachable = False
        self.gate: Callable[[str, str], Any] | None = None
        self.offered = ("http-01", "dns-01", "dns-persist-01")
        self.validation_polls = 0
        self.processing_polls = 0
        self.poll_headers: dict[str, str] = {}
        self.refuse: dict[str, object] = {}
        self.reuse = False
        self.lie: str | None = None
        self.status_names: dict[str, str] = {}
        self.services = {"revokeCert": "revoke", "keyChange": "key-change", "renewalInfo": "renewal-info"}
        self.profiles: dict[str, object] = {"classic": "As always", "shortlived": "Six days"}
        self.customers: dict[str, bytes] = {}
        self.identities: tuple[str, ...] = ()
        self.roots: tuple[str, ...] = ()
        self.window: dict[str, str] | None = None
        self.objection: HttpResponse | None = None
        self.deactivated: set[str] = set()
        self.revoked: dict[int, tuple[int | None, str]] = {}
        self.signed: dict[int, x509.Certificate] = {}
        self.nonces: set[str] = set()
        self.accounts: dict[str, Any] = {}
        self.orders: dict[int, FakeOrder] = {}
        self.authorizations: dict[int, FakeAuthorization] = {}
        self.issued = 0
        self._ids = itertools.count(1)
        self._key = ec.generate_private_key(ec.SECP256R1())

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 - the port's
        body: bytes | None = None,
        timeout: float = 30,  # noqa: ARG002 - the port's
    ) -> HttpResponse:
        operation, _, rest = url.removeprefix(f"{self.base}/").partition("/")
        self.log.append(operation)
        if self.gate:
            await self.gate("before", operation)
        if self.unreachable:
            raise HttpUnreachable("ca.test cannot be reached")
        if self.lose_before[operation]:
            self.lose_before[operation] -= 1
            raise HttpDisconnected("ca.test ended the connection")
        await asyncio.sleep(0)
        if self.scripted.get(operation):
            return self.scripted[operation].pop(0)
        response = self._answer(method, url, operation, rest, body)
        if self.gate:
            await self.gate("after", operation)
        if self.lose_after[operation]:
            self.lose_after[operation] -= 1
            raise HttpDisconnected("ca.test ended the connection")
        return response

    def answer(self, document: object, status: int = 200, **headers: str) -> HttpResponse:
        """
        Make an answer, with a fresh nonce.
        """
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        nonce = b64encode(f"nonce-{next(self._ids)}".encode()).decode()
        self.nonces.add(nonce)
        found = {"replay-nonce": nonce, "date": email.utils.format_datetime(self.clock.now(), usegmt=True)}
        found |= {name.replace("_", "-"): value for name, value in headers.items()}
        return HttpResponse(status=status, headers={name: (value,) for name, value in found.items()}, body=body)

    def problem(self, status: int, kind: str, detail: str = "no", **headers: str) -> HttpResponse:
        """
        Make a problem document.
        """
        return self.answer({"type": URN + kind, "detail": detail}, status, **headers)

    def _answer(self, method: str, url: str, operation: str, rest: str, body: bytes | None) -> HttpResponse:
        if operation == "directory":
            names = {"newNonce": "nonce", "newAccount": "new-account", "newOrder": "new-order", "flying": "saucer"}
            meta = {"a": 1, "profiles": self.profiles, "externalAccountRequired": bool(self.customers)}
            meta["caaIdentities"] = list(self.identities)
            document = {name: f"{self.base}/{path}" for name, path in (names | self.services).items()} | {"meta": meta}
            return dataclasses.replace(
                found := self.answer(document), headers={"date": found.headers["date"], "content-type": ("x",)}
            )
        if operation == "nonce":
            return self.answer(b"")
        if operation == "renewal-info":
            assert (method, body) == ("GET", None)
            return self._renewal_info(rest)
        assert method == "POST"
        assert body is not None
        try:
            return self._signed(url, operation, rest, body)
        except Refusal as refusal:
            return self.answer(refusal.document, refusal.status)

    def _signed(self, url: str, operation: str, rest: str, body: bytes) -> HttpResponse:
        jws = JWS.from_json(json.loads(body))
        header = jws.signature.combined
        assert header.url == url
        nonce = b64encode(header.nonce).decode()
        if nonce not in self.nonces or self.bad_nonces:
            self.bad_nonces = max(self.bad_nonces - 1, 0)
            raise Refusal(400, "badNonce", "not this one")
        self.nonces.remove(nonce)
        payload = json.loads(jws.payload) if jws.payload else None
        self.payloads.append((operation, payload))
        if operation == "new-account":
            assert jws.verify(header.jwk)
            return self._new_account(header.jwk, payload)
        if operation == "revoke" and header.kid is None:
            assert jws.verify(header.jwk)
            return self._revoke(header.jwk, rest, payload)
        if header.kid not in self.accounts:
            raise Refusal(400, "accountDoesNotExist", "who are you?")
        if header.kid in self.deactivated:
            raise Refusal(403, "unauthorized", 'Account is not valid, has status "deactivated"')
        if not jws.verify(self.accounts[header.kid]):
            raise Refusal(400, "malformed", "JWS verification error")
        handle: Callable[[str, str, Any], HttpResponse] = getattr(self, f"_{operation.replace('-', '_')}")
        return handle(header.kid, rest, payload)

    def _new_account(self, jwk: Any, payload: Any) -> HttpResponse:
        known = [kid for kid, key in self.accounts.items() if key == jwk]
        if not known and payload.get("onlyReturnExisting"):
            raise Refusal(400, "accountDoesNotExist", "none has this key")
        if known and known[0] in self.deactivated:
            raise Refusal(403, "unauthorized", "an account that was deactivated has this key")
        if not known:
            self._check_binding(jwk, payload)
        kid = known[0] if known else f"{self.base}/account/{next(self._ids)}"
        self.accounts[kid] = jwk
        return self.answer(self._account_document(kid), 200 if known else 201, location=kid)

    def _account_document(self, kid: str) -> dict[str, object]:
        listed = {"orders": f"{self.base}/orders/{kid.rsplit('/', 1)[1]}"} if self.lists_orders else {}
        return {"status": "valid", "mood": "fine", **listed}

    def _check_binding(self, jwk: Any, payload: Any) -> None:
        binding = payload.get("externalAccountBinding")
        if not self.customers:
            return
        if binding is None:
            raise Refusal(403, "externalAccountRequired", "who pays?")
        jws = JWS.from_json(binding)
        header = jws.signature.combined
        key = self.customers.get(header.kid)
        assert (header.url, header.nonce, header.alg.name) == (f"{self.base}/new-account", None, "HS256")
        assert json.loads(jws.payload) == jwk.to_json()
        if key is None or not jws.verify(JWKOct(key=key)):
            raise Refusal(403, "unauthorized", "no customer of ours")

    def _account(self, kid: str, _: str, payload: Any) -> HttpResponse:
        if payload == {"status": "deactivated"}:
            self.deactivated.add(kid)
            return self.answer(self._account_document(kid) | {"status": "deactivated"})
        contact = {"contact": payload["contact"]} if payload else {}
        return self.answer(self._account_document(kid) | contact)

    def _key_change(self, kid: str, _: str, payload: Any) -> HttpResponse:
        inner = JWS.from_json(payload)
        header = inner.signature.combined
        assert (header.url, header.nonce, header.kid) == (f"{self.base}/key-change", None, None)
        assert inner.verify(header.jwk)
        assert json.loads(inner.payload) == {"account": kid, "oldKey": self.accounts[kid].to_json()}
        self.accounts[kid] = header.jwk
        return self.answer(self._account_document(kid))

    def _revoke(self, by: Any, _: str, payload: Any) -> HttpResponse:
        certificate = x509.load_der_x509_certificate(b64decode(payload["certificate"]))
        number = next(number for number, found in self.signed.items() if found == certificate)
        of_account = self.orders[number].kid == by
        own = JWK.load(
            certificate.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        if not of_account and by != own:
            raise Refusal(403, "unauthorized", "not yours")
        if number in self.revoked:
            raise Refusal(400, "alreadyRevoked", "it is")
        self.revoked[number] = payload.get("reason"), "account" if of_account else "certificate"
        return self.answer(b"")

    def _renewal_info(self, rest: str) -> HttpResponse:
        serials = {b64encode(_integer(found.serial_number)).decode(): found for found in self.signed.values()}
        found = serials.get(rest.partition(".")[2])
        if found is None:
            return self.problem(404, "malformed", "never heard of it")
        middle = found.not_valid_before_utc + (found.not_valid_after_utc - found.not_valid_before_utc) / 2
        window = {"start": middle.isoformat(), "end": (middle + dt.timedelta(days=2)).isoformat()}
        return self.answer({"suggestedWindow": self.window or window}, retry_after="21600")

    def _orders(self, kid: str, rest: str, _: Any) -> HttpResponse:
        number, _, page = rest.partition("?page=")
        mine = [number for number, order in self.orders.items() if order.kid == kid]
        start = int(page or 0)
        urls = [f"{self.base}/order/{each}" for each in mine[start : start + 2]]
        more = (
            {"link": f'<{self.base}/x>;rel="index", <{self.base}/orders/{number}?page={start + 2}>;rel="next"'}
            if start + 2 < len(mine)
            else {}
        )
        return self.answer({"orders": urls}, **more)

    def _new_order(self, kid: str, _: str, payload: Any) -> HttpResponse:
        names = tuple(identifier["value"] for identifier in payload["identifiers"])
        if payload.get("replaces") and self.objection is not None:
            return self.objection
        order = FakeOrder(
            kid=kid,
            names=names,
            authorizations=[self._authorization_for(kid, name) for name in names],
            expires=self.clock.now() + dt.timedelta(days=7),
            profile=payload.get("profile"),
            replaces=payload.get("replaces"),
        )
        number = next(self._ids)
        self.orders[number] = order
        return self.answer(self._order_document(number), 201, location=f"{self.base}/order/{number}")

    def _authorization_for(self, kid: str, name: str) -> int:
        base = name.removeprefix("*.")
        if self.reuse:
            for number, found in self.authorizations.items():
                if found.name == base and found.wildcard == (base != name) and found.status == "valid":
                    return number
        number = next(self._ids)
        self.authorizations[number] = FakeAuthorization(
            name=base,
            wildcard=base != name,
            token=f"token-{number}",
            kid=kid,
            polls=self.validation_polls,
            patience=3 if self.validation_polls else 0,
        )
        return number

    def _order(self, kid: str, rest: str, _: Any) -> HttpResponse:
        number = int(rest)
        order = self.orders.get(number)
        if order is None:
            raise Refusal(404, "malformed", "no such order")
        if order.kid != kid:
            raise Refusal(403, "unauthorized", "not yours")
        document = self._order_document(number)
        if document["status"] == "processing":
            order.polls -= 1
            return self.answer(document, **self.poll_headers)
        return self.answer(document)

    def _order_status(self, order: FakeOrder) -> str:
        statuses = {self.authorizations[number].status for number in order.authorizations}
        if order.status:
            return order.status
        if order.csr is not None:
            return "processing" if order.polls > 0 else "valid"
        if statuses == {"valid"}:
            return "ready"
        return "pending" if statuses <= {"valid", "pending"} else "invalid"

    def _order_document(self, number: int) -> dict[str, object]:
        order = self.orders[number]
        status = self._order_status(order)
        certificate = {"certificate": f"{self.base}/certificate/{number}"} if status == "valid" else {}
        return {
            "status": self.status_names.pop(status, status),
            "identifiers": [{"type": "dns", "value": name} for name in order.names],
            "authorizations": [f"{self.base}/authorization/{each}" for each in order.authorizations],
            "finalize": f"{self.base}/finalize/{number}",
            "expires": order.expires and order.expires.isoformat(),
            "novelty": [1, {"a": None}],
            **({"replaces": order.replaces} if order.replaces else {}),
            **certificate,
        }

    def _authorization(self, _: str, rest: str, payload: Any) -> HttpResponse:
        number = int(rest)
        found = self.authorizations[number]
        if payload == {"status": "deactivated"}:
            self.log[-1] = "deactivate"
            found.status = "deactivated"
        elif found.polls < 0:
            found.polls += 1
            if found.polls == 0:
                self._decide(found)
            return self.answer(self._authorization_document(number), **self.poll_headers)
        return self.answer(self._authorization_document(number))

    def _authorization_document(self, number: int) -> dict[str, object]:
        found = self.authorizations[number]
        return {
            "status": found.status,
            "identifier": {"type": "dns", "value": found.name},
            "challenges": [self._challenge_document(number, kind) for kind in self.offered],
            "weather": "mild",
            **({"wildcard": True} if found.wildcard else {}),
        }

    def _challenge_document(self, number: int, kind: str) -> dict[str, object]:
        found = self.authorizations[number]
        token = {"token": found.token} if kind != "dns-persist-01" else {"issuer-domain-names": ["ca.test"]}
        error = {"error": found.error} if found.error else {}
        checking = "processing" if found.polls < 0 else found.status
        return {"type": kind, "url": f"{self.base}/challenge/{number}/{kind}", "status": checking, **token, **error}

    def _challenge(self, _: str, rest: str, payload: Any) -> HttpResponse:
        assert payload == {}
        number, _, kind = rest.partition("/")
        found = self.authorizations[int(number)]
        if found.status != "pending":
            raise Refusal(400, "malformed", "the check is over")
        if found.polls > 0:
            found.polls = -found.polls
        else:
            self._decide(found)
        return self.answer(self._challenge_document(int(number), kind))

    def _decide(self, found: FakeAuthorization) -> None:
        error = self.refuse.get(found.name)
        visible = any(board.visible.get(found.token) for board in self.boards)
        if not visible and not error and found.patience and found.polls == 0:
            # It looks again, as real ones do: whoever comes back from a crash has a moment.
            found.patience, found.polls = found.patience - 1, -1
            return
        if not visible and not error:
            error = {"type": URN + "unauthorized", "detail": "the token is not there"}
        found.status, found.error = ("invalid", error) if error else ("valid", None)

    def _finalize(self, _: str, rest: str, payload: Any) -> HttpResponse:
        order = self.orders[int(rest)]
        if self._order_status(order) != "ready":
            raise Refusal(403, "orderNotReady", "not ready")
        order.csr = x509.load_der_x509_csr(b64decode(payload["csr"]))
        sans = order.csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert {str(each.value) for each in sans} == set(order.names)
        order.polls = self.processing_polls
        self.issued += 1
        return self.answer(self._order_document(int(rest)))

    def _certificate(self, _: str, rest: str, __: Any) -> HttpResponse:
        rest, _, which = rest.partition("/")
        order = self.orders[int(rest)]
        assert order.csr is not None
        if self.lie == "garbage":
            return self.answer(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        now = self.clock.now()
        names = (*order.names, "other.test") if self.lie == "names" else order.names
        key = ec.generate_private_key(ec.SECP256R1()).public_key() if self.lie == "key" else order.csr.public_key()
        begin = now + {"future": dt.timedelta(hours=2), "soon": dt.timedelta(minutes=59), "brief": dt.timedelta(0)}.get(
            self.lie or "", dt.timedelta(days=-1)
        )
        sans: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        if self.lie == "kind":
            sans.append(x509.RFC822Name("root@ca.test"))
        if self.lie == "escape":
            sans = [x509.DNSName("\x1b]0;owned\x07")]
        end = now + {
            "expired": dt.timedelta(seconds=-1),
            "expiring": dt.timedelta(minutes=50),
            "brief": dt.timedelta(minutes=50),
        }.get(self.lie or "", dt.timedelta(days=90))
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Fake")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName(sans), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        certificate = self.signed.setdefault(int(rest), certificate)
        before = b"h\xe9llo\n" if self.lie == "prologue" else b"hello\n"
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        if not self.roots:
            cut_off = pem[: len(pem) // 2] if self.lie == "cut" else b""
            return self.answer(before + pem * (500 if self.lie == "long" else 1) + cut_off)
        others = [f'<{self.base}/certificate/{rest}/{each}>;rel="alternate"' for each in range(1, len(self.roots))]
        found = self.answer(before + pem + self._intermediate(self.roots[int(which or 0)]))
        return dataclasses.replace(
            found, headers={**found.headers, "link": (f'<{self.base}/directory>;rel="index"', *others)}
        )

    def _intermediate(self, root: str) -> bytes:
        now = self.clock.now()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Fake")]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, root)]))
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1000))
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


def _integer(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")
