"""
A CA that lives in memory and keeps its own time: the simulated world's `ports.Issuer`.

It behaves as an ACME issuer does towards the daemon: what was begun is written down before the CA is asked, a refusal closes the
record, a call after one that was cut short goes on with the same order.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.support.certificates import certificate_id
from tests.support.clock import START

from gatelodge.acme.messages import Account
from gatelodge.errors import HttpUnreachable, IssuanceError, Problem, Subproblem
from gatelodge.issuers.selfsigned import general_name
from gatelodge.model import RenewalInfo, Secret
from gatelodge.ports import Issued
from gatelodge.runtime.journal import ORDERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from gatelodge.model import CertificateSpec, RenewalWindow, RevocationReason
    from gatelodge.ports import Clock, Documents

REFUSED = Problem(type="unauthorized", detail="the token was not there", status=403)

_KEY = ec.generate_private_key(ec.SECP256R1())
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A CA of this world")])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """
    One time that the CA was, or would have been, asked for a certificate.
    """

    at: dt.datetime
    name: str


class FakeCa:
    """
    Implements `ports.Issuer`. Change at any time: `life` of certificates, `seconds` that an order takes (`slow`: by NAME),
    `refuses` by NAME, and names that are refused among others (`bad`), `down`; `suggests`, the window in which a certificate is to be renewed,
    and `explanation`. It works on `at_once` orders at a time. Look at: `asked` (every try), `orders` (those begun), `signed`, `doubled` (certificates
    with two orders at once), `replaced` (what orders said they replace), `invited` (whether they were made in a window of its), `renewals_asked`, `revoked`.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        documents: Documents,
        life: dt.timedelta = dt.timedelta(days=90),
        seconds: float = 5,
        at_once: int = 1000,
        name: str = "letsencrypt",
    ) -> None:
        self.name = name
        self.bad: set[str] = set()
        self.suggests: Callable[[x509.Certificate], RenewalWindow | None] | None = None
        self.explanation: str | None = None
        self.replaced: list[str | None] = []
        self.invited: list[bool] = []
        self.renewals_asked: list[dt.datetime] = []
        self.revoked: list[tuple[str, RevocationReason | None]] = []
        self.refuses_to_revoke = False
        self.keys_kept: list[Secret | None] = []
        self.registered: Account | None = None
        self.life = life
        self.seconds = seconds
        self.slow: dict[str, float] = {}
        self.refuses: dict[str, Problem] = {}
        self.down = False
        self.asked: list[Asked] = []
        self.orders: list[Asked] = []
        self.signed: list[Asked] = []
        self.doubled: list[str] = []
        self.working: set[str] = set()
        self._clock = clock
        self._documents = documents
        self._slots = asyncio.Semaphore(at_once)
        self._ready: dict[str, tuple[str, Issued]] = {}
        self._by_identifier: dict[str, x509.Certificate] = {}

    def now(self) -> dt.datetime:
        """
        Return the true time, whatever the machine's clock says.
        """
        return START + dt.timedelta(seconds=self._clock.monotonic())

    async def date(self) -> dt.datetime:
        """
        Tell the daemon the time.
        """
        if self.down:
            raise HttpUnreachable("the CA cannot be reached")
        return self.now()

    def tries(self, name: str) -> list[dt.datetime]:
        """
        Return when a certificate was asked for.
        """
        return [each.at for each in self.asked if each.name == name]

    @contextlib.asynccontextmanager
    async def issue(
        self,
        spec: CertificateSpec,
        *,
        progress: Callable[[str], None],
        replaces: str | None = None,
        invited: bool = False,
        force: bool = False,
        private_key: Secret | None = None,
    ) -> AsyncIterator[Issued]:
        del force
        self.invited.append(invited)
        self.keys_kept.append(private_key)
        self.replaced.append(replaces)
        progress("asking the CA")
        if spec.name in self.working:
            self.doubled.append(spec.name)
        self.working.add(spec.name)
        try:
            async with self._slots:
                issued = await self._obtain(spec, private_key)
            yield issued
            await self._documents.delete(ORDERS, spec.name)
            del self._ready[spec.name]
        finally:
            self.working.discard(spec.name)

    async def renewal(self, certificate: str) -> RenewalInfo | None:
        self.renewals_asked.append(self.now())
        self._reachable()
        if self.suggests is None:
            return None
        window = self.suggests(self._by_identifier[certificate])
        return RenewalInfo(certificate=certificate, window=window, explanation=self.explanation)

    async def revoke(self, issued: Issued, *, reason: RevocationReason | None, progress: Callable[[str], None]) -> None:
        progress("revoking")
        self._reachable()
        if self.refuses_to_revoke:
            raise IssuanceError(REFUSED)
        leaf = x509.load_pem_x509_certificate(issued.chain.encode())
        self.revoked.append((f"{leaf.serial_number:x}", reason))

    async def account(self, *, progress: Callable[[str], None]) -> Account | None:
        progress("asking")
        self._reachable()
        return self.registered

    async def register(self, *, progress: Callable[[str], None]) -> str:
        progress("registering")
        self._reachable()
        self.registered = self.registered or Account(url="https://ca.example/account/1", status="valid")
        return self.registered.url

    async def update_account(self, email: str | None, *, progress: Callable[[str], None]) -> Account | None:
        progress("changing")
        if self.registered is not None:
            contact = () if email is None else (f"mailto:{email}",)
            self.registered = dataclasses.replace(self.registered, contact=contact)
        return self.registered

    async def roll_over(self, *, progress: Callable[[str], None]) -> bool:
        progress("changing the key")
        self._reachable()
        return self.registered is not None

    async def deactivate_account(self, *, progress: Callable[[str], None]) -> bool:
        progress("giving up")
        known, self.registered = self.registered, None
        return known is not None

    async def abandon(self, name: str) -> None:
        self._reachable()
        self._ready.pop(name, None)
        await self._documents.delete(ORDERS, name)

    async def _obtain(self, spec: CertificateSpec, private_key: Secret | None) -> Issued:
        self.asked.append(Asked(at=self.now(), name=spec.name))
        self._reachable()
        record = await self._documents.get(ORDERS, spec.name)
        if record is None or record["digest"] != spec.digest:
            await self._documents.put(ORDERS, spec.name, self._record(spec, record))
            self.orders.append(Asked(at=self.now(), name=spec.name))
            self._ready.pop(spec.name, None)
        await self._clock.sleep(self.slow.get(spec.name, self.seconds))
        self._reachable()
        if spec.name in self.refuses:
            await self._documents.delete(ORDERS, spec.name)
            raise IssuanceError(self.refuses[spec.name])
        if self.bad & set(spec.names):
            await self._documents.delete(ORDERS, spec.name)
            told = tuple(
                Subproblem(type="dns", detail="NXDOMAIN", identifier=name) for name in self.bad & set(spec.names)
            )
            raise IssuanceError(Problem(type="dns", detail="some names could not be proven", subproblems=told))
        if spec.name not in self._ready:
            self.signed.append(Asked(at=self.now(), name=spec.name))
            issued = sign(spec, not_before=self.now(), life=self.life, private_key=private_key)
            self._ready[spec.name] = (spec.digest, issued)
            self._by_identifier[certificate_id(issued.chain)] = x509.load_pem_x509_certificate(issued.chain.encode())
        return self._ready[spec.name][1]

    def _record(self, spec: CertificateSpec, before: Mapping[str, object] | None) -> dict[str, object]:
        begun = int(str(before["begun"])) + 1 if before else 1
        at = self._clock.now().isoformat()
        return {"certificate": spec.name, "ca": self.name, "digest": spec.digest, "begun": begun, "at": at}

    def _reachable(self) -> None:
        if self.down:
            raise IssuanceError(Problem(type="unreachable", detail="the CA cannot be reached"))


def sign(
    spec: CertificateSpec, *, not_before: dt.datetime, life: dt.timedelta, private_key: Secret | None = None
) -> Issued:
    """
    Return a certificate and its key for a spec.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    if private_key is not None:
        kept = serialization.load_pem_private_key(private_key.reveal().encode(), None)
        assert isinstance(kept, ec.EllipticCurvePrivateKey)
        key = kept
    begins = not_before.replace(microsecond=0)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + life)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(_KEY.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in spec.names]), critical=True)
        .sign(_KEY, hashes.SHA256())
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Issued(chain=leaf.public_bytes(serialization.Encoding.PEM).decode(), private_key=Secret(encoded.decode()))
