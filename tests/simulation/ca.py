"""
An ACME CA of the simulated world: it verifies what it is sent, looks at names itself, counts its own limits, and may be unkind.

Its limits are those of the page that `core.limits` names, and it counts them by itself: failed checks when they fail, certificates when they are
signed, and orders when they are made, each refilled evenly.
"""

from __future__ import annotations

import asyncio
import collections
import datetime as dt
import hashlib
import itertools
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from josepy.b64 import b64encode
from tests.simulation.keys import key
from tests.support.fake_acme import FakeAcme, FakeAuthorization, FakeOrder

from gatelodge.core import limits
from gatelodge.core.limits import Counted, Kind
from gatelodge.errors import HttpDisconnected, HttpUnreachable
from gatelodge.issuers.acme import domains
from gatelodge.ports import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.simulation.world import World

#: What a CA has to be wrong about to send what is not ours.
_LIES = ("names", "key", "garbage", "cut", "expired")

#: So many orders are listed at a time, and for so long after they expired they are known.
_PAGE = 10
_REMEMBERED = dt.timedelta(days=30)

_TOO_MANY = {
    Counted.ORDERS: "too many new orders (300) from this account in the last 3h0m0s",
    Counted.CERTIFICATES_PER_DOMAIN: 'too many certificates (50) already issued for "{}" in the last 168h0m0s',
    Counted.CERTIFICATES_PER_SET: "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s",
    Counted.FAILURES_PER_NAME: 'too many failed authorizations (5) for "{}" in the last 1h0m0s',
}


class Meter:
    """
    How much of each limit is left, and for whom.
    """

    def __init__(self, allowed: tuple[limits.Limit, ...]) -> None:
        self._allowed = {limit.counted: limit for limit in allowed}
        self._left: dict[tuple[Counted, str], tuple[float, float]] = {}

    def counts(self, counted: Counted, kind: Kind) -> bool:
        """
        Tell whether an order of that kind is counted by a limit.
        """
        return counted in self._allowed and kind not in self._allowed[counted].exempt

    def left(self, counted: Counted, whose: str, now: float) -> float:
        """
        Return how many are left.
        """
        limit = self._allowed[counted]
        left, at = self._left.get((counted, whose), (float(limit.count), now))
        return min(limit.count, left + (now - at) * limit.count / limit.period.total_seconds())

    def take(self, counted: Counted, whose: str, now: float) -> None:
        """
        Take one.
        """
        self._left[counted, whose] = (self.left(counted, whose, now) - 1, now)


class Ca(FakeAcme):
    """
    One CA, under the directory that it has in the real world. `signed_for` are the certificates it signed, by serial number; `overrun` what we asked of it beyond its limits, `account_keys`
    the public keys of its accounts.
    """

    def __init__(
        self, world: World, *, name: str, base: str, trouble: str, life: dt.timedelta, customers: Mapping[str, bytes]
    ) -> None:
        super().__init__(world.true_clock, base=base)
        self.name = name
        self.life = life
        self.customers = dict(customers)
        self.log = collections.deque([""], maxlen=1)  # type: ignore[assignment]
        self.payloads = collections.deque(maxlen=1)  # type: ignore[assignment]
        self.meter = Meter(limits.LIMITS.get(f"{base}/directory", ()))
        self.overrun: list[str] = []
        self.doubled: list[str] = []
        self.chains: dict[int, bytes] = {}
        self.keyless: list[str] = []
        self.account_keys: dict[str, bytes] = {}
        self._world = world
        self._trouble = trouble
        self._key = key(len(name))
        self._ids = itertools.count(1)
        self._by_identifier: dict[str, tuple[dt.datetime, dt.datetime]] = {}
        self._certified: set[frozenset[str]] = set()
        self._replaced: set[str] = set()
        self._kinds: dict[int, Kind] = {}
        self._numbers: dict[int, int] = {}
        self.services = dict(self.services)
        if not world.has_ari:
            del self.services["renewalInfo"]

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        del headers
        operation, _, rest = url.removeprefix(f"{self.base}/").partition("/")
        world, where = self._world, f"{self.name} {operation}"
        mishap = await world.touch("ca", where)
        if mishap is not None:
            world.troubles.mark(self.name)
        if self._lasts("down") or mishap == "not reached":
            raise HttpUnreachable(f"{self.name} cannot be reached")
        if self._lasts("hangs") or mishap == "hang":
            await asyncio.sleep(timeout)
            raise HttpDisconnected(f"{self.name} did not answer within {timeout:g} s")
        wrong = self._wrong(mishap)
        if wrong is not None:
            return wrong
        if mishap == "wrong nonce":
            self.bad_nonces = 1
        if operation == "certificate" and (mishap == "wrong certificate" or self._lasts("sends wrong certificates")):
            self.lie = world.chance.choice(_LIES)
        response = self._answer(method, url, operation, rest, body)
        self.lie, self.bad_nonces = None, 0
        mishap = await world.touch("ca", f"{where}, acted on")
        if mishap in {"answer lost", "hang", "not reached"}:
            world.troubles.mark(self.name)
            raise HttpDisconnected(f"{self.name} ended the connection")
        return response

    def _lasts(self, what: str) -> bool:
        return self._world.weather.lasting[f"{self._trouble} CA {what}"] > 0

    def _wrong(self, mishap: str | None) -> HttpResponse | None:
        match mishap:
            case "500":
                return self.problem(500, "serverInternal", "Unhandled error")
            case "HTML":
                return HttpResponse(
                    status=self._world.chance.choice((200, 403, 503)),
                    headers={"content-type": ("text/html",)},
                    body=b"<html>Please log in</html>",
                )
            case "bad JSON":
                return self.answer(b'{"status": "val')
        return None

    # Accounts

    def _new_account(self, jwk: Any, payload: Any) -> HttpResponse:
        response = super()._new_account(jwk, payload)
        (kid,) = response.headers["location"]
        self.account_keys[kid] = jwk.key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return response

    # Orders

    def _orders(self, kid: str, rest: str, _: Any) -> HttpResponse:
        """
        List an account's orders that have not expired, some at a time.
        """
        number, page = rest.partition("?page=")[::2]
        now, start = self.clock.now(), int(page or 0)
        mine = [each for each, order in self.orders.items() if order.kid == kid and self._good_until(order) > now]
        urls = [f"{self.base}/order/{each}" for each in mine[start : start + _PAGE]]
        more = f'<{self.base}/orders/{number}?page={start + _PAGE}>;rel="next"'
        return self.answer({"orders": urls}, **({"link": more} if start + _PAGE < len(mine) else {}))

    def _forget(self) -> None:
        """
        Forget the orders that ended long ago.
        """
        now = self.clock.now()
        while self.orders:
            number, order = next(iter(self.orders.items()))
            if self._good_until(order) + _REMEMBERED > now:
                return
            del self.orders[number]
            for authorization in order.authorizations:
                self.authorizations.pop(authorization, None)
            for kept in (self.chains, self.signed, self._kinds):
                kept.pop(number, None)

    @staticmethod
    def _good_until(order: FakeOrder) -> dt.datetime:
        assert order.expires is not None
        return order.expires

    def _new_order(self, kid: str, rest: str, payload: Any) -> HttpResponse:
        self._forget()
        names = frozenset(each["value"] for each in payload["identifiers"])
        known = names in self._certified
        replaces = payload.get("replaces")
        ours = replaces is not None and _serial(replaces) in self._by_identifier
        if ours and _serial(replaces) in self._replaced:
            return self.problem(409, "alreadyReplaced", "a certificate was signed in its place")
        # Let's Encrypt counts it for no limit in the window that it suggested, and only then.
        exempt = ours and self._window(replaces)[0] <= self.clock.now() < self._window(replaces)[1]
        kind = Kind.REPLACEMENT if exempt else Kind.RENEWAL if known else Kind.NEW
        if self._world.weather.lasting["limit used up by others"] and self.name == "letsencrypt" and not exempt:
            self._world.story.tell(self.name, "refuses an order: others used its limit up")
            return self._too_many(
                Counted.CERTIFICATES_PER_DOMAIN, "example.com", seconds=self._world.chance.uniform(60, 40000)
            )
        for counted, whose in self._costs(kid, names, kind):
            if self.meter.left(counted, whose, self.clock.monotonic()) < 1:
                self.overrun.append(f"{counted} of {whose}")
                return self._too_many(counted, whose, seconds=3600)
        if self.meter.counts(Counted.ORDERS, kind):
            self.meter.take(Counted.ORDERS, kid, self.clock.monotonic())
        if not ours:
            # What it never signed replaces nothing, and the order does not say that it does (RFC 9773 §5).
            payload = {name: value for name, value in payload.items() if name != "replaces"}
        response = super()._new_order(kid, rest, payload)
        number = max(self.orders)
        self._kinds[number] = kind
        self._world.story.tell(self.name, f"order {number} for {', '.join(sorted(names))} ({kind})")
        self._world.story.count("orders")
        if exempt:
            self._world.story.count("replacements")
        return response

    def _costs(self, kid: str, names: frozenset[str], kind: Kind) -> list[tuple[Counted, str]]:
        whose = {
            Counted.ORDERS: [kid],
            Counted.CERTIFICATES_PER_DOMAIN: sorted({domains.registered(name) for name in names}),
            Counted.CERTIFICATES_PER_SET: [", ".join(sorted(names))],
            Counted.FAILURES_PER_NAME: [f"{name.removeprefix('*.')} at {kid}" for name in sorted(names)],
        }
        return [
            (counted, one) for counted, owners in whose.items() if self.meter.counts(counted, kind) for one in owners
        ]

    def _too_many(self, counted: Counted, whose: str, *, seconds: float) -> HttpResponse:
        detail = _TOO_MANY[counted].format(whose.partition(" at ")[0])
        return self.problem(429, "rateLimited", detail, retry_after=f"{seconds:.0f}")

    def _authorization_for(self, kid: str, name: str) -> int:
        number = super()._authorization_for(kid, name)
        found = self.authorizations[number]
        found.polls, found.patience = self._world.chance.choice((0, 1, 3)), 0
        return number

    def _decide(self, found: FakeAuthorization) -> None:
        seen = self._seen(found)
        found.status, found.error = "valid", None
        if not seen:
            found.status = "invalid"
            found.error = {
                "type": "urn:ietf:params:acme:error:unauthorized",
                "detail": f"{found.name}: no token there that is right: invalid response from it",
            }
            self._world.story.tell(self.name, f"does not find the token of {found.name}")
            if Counted.FAILURES_PER_NAME in self.meter._allowed:
                self.meter.take(Counted.FAILURES_PER_NAME, f"{found.name} at {found.kid}", self.clock.monotonic())

    def _seen(self, found: FakeAuthorization) -> bool:
        thumbprint = b64encode(self.accounts[found.kid].thumbprint()).decode()
        authorization = f"{found.token}.{thumbprint}"
        digest = b64encode(hashlib.sha256(authorization.encode()).digest()).decode()
        by_dns = digest in self._world.dns.shown(f"_acme-challenge.{found.name}")
        return by_dns or (not found.wildcard and self._world.nginx.token(found.token) == authorization.encode())

    def _finalize(self, kid: str, rest: str, payload: Any) -> HttpResponse:
        super()._finalize(kid, rest, payload)
        number = int(rest)
        order = self.orders[number]
        assert order.csr is not None
        for counted, whose in self._costs(kid, frozenset(order.names), self._kinds[number]):
            if counted in {Counted.CERTIFICATES_PER_DOMAIN, Counted.CERTIFICATES_PER_SET}:
                self.meter.take(counted, whose, self.clock.monotonic())
        order.polls = self._world.chance.choice((0, 1, 2))
        public = order.csr.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        if public not in self._world.keys_in("journal/orders"):
            self.keyless.append(", ".join(order.names))
        self._sign(number)
        return self.answer(self._order_document(number))

    def _sign(self, number: int) -> None:
        order, now = self.orders[number], self.clock.now().replace(microsecond=0)
        assert order.csr is not None
        begin = now - dt.timedelta(hours=1)
        end = begin + self.life
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.name)]))
            .public_key(order.csr.public_key())
            .serial_number((len(self.name) << 64) + number)
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in order.names]), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.signed[number] = certificate
        self.chains[number] = certificate.public_bytes(serialization.Encoding.PEM)
        serial = certificate.serial_number.to_bytes(certificate.serial_number.bit_length() // 8 + 1, "big")
        self._by_identifier[b64encode(serial).decode()] = (begin, end)
        self._certified.add(frozenset(order.names))
        if order.replaces:
            self._replaced.add(_serial(order.replaces))
        self._world.story.tell(self.name, f"signs order {number} for {', '.join(sorted(order.names))}")
        self._world.story.count("certificates signed")

    def _certificate(self, kid: str, rest: str, payload: Any) -> HttpResponse:
        number = int(rest.partition("/")[0])
        if self.lie is None:
            return self.answer(self.chains[number])
        self._world.story.tell(self.name, f"sends a wrong certificate ({self.lie}) for order {number}")
        true = self.signed.pop(number)
        wrong = super()._certificate(kid, rest, payload)
        self.signed[number] = true
        return wrong

    def _renewal_info(self, rest: str) -> HttpResponse:
        if _serial(rest) not in self._by_identifier:
            return self.problem(404, "malformed", "never heard of it")
        start, end = self._window(rest)
        return self.answer(
            {"suggestedWindow": {"start": start.isoformat(), "end": end.isoformat()}}, retry_after="86400"
        )

    def _window(self, identifier: str) -> tuple[dt.datetime, dt.datetime]:
        begin, end = self._by_identifier[_serial(identifier)]
        start = begin + (end - begin) * 0.6
        return start, start + (end - begin) * 0.05


def _serial(identifier: str) -> str:
    """
    Return the second part of a certificate's identifier (RFC 9773 §4.1).
    """
    return identifier.partition(".")[2]
