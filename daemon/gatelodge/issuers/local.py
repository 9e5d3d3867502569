"""
The certificate authority of this machine, for names of the LAN: implements `ports.Issuer` for `LocalIssuer` specs.

    STATE/ca/root/root.pem, privkey.pem     the root: made once, unconstrained, imported by people

Its root is never made again while anything of it is there: every device would have to import it anew, so a damaged one is a
person's decision. The root signs an intermediate for every certificate, which may sign for exactly the names of that
certificate (RFC 5280 §4.2.1.10) and whose key is forgotten as soon as it has: what a thief of a certificate's key holds is
good for nothing else. None outlives its signer.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import functools
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from gatelodge import durable
from gatelodge.certificate_errors import UNREADABLE
from gatelodge.errors import IssuanceError, Problem, StateError
from gatelodge.issuers.selfsigned import general_name
from gatelodge.issuers.subject import name_below, root_name
from gatelodge.model import CaSubject, KeyKind, is_ip
from gatelodge.ports import Issued

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from gatelodge.model import CertificateSpec, Name, Secret
    from gatelodge.ports import Clock, Keys

#: Let's Encrypt's lifetime, so that a LAN certificate is renewed as often as any other; Mozilla's guidelines allow a modern
#: listener no more. The day of `TOLERANCE` is one of these.
LEAF_LIFE = dt.timedelta(days=90)

ROOT_LIFE = dt.timedelta(days=20 * 365)

#: Visitors' clocks may be behind ours by this much.
TOLERANCE = dt.timedelta(days=1)

#: No honest clock shows less. A machine that wakes up in 1970 must not make a root that has expired when its clock is set.
_FIRST_RELEASE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

#: With less than this left a root signs no more.
_LEAST_LIFE = dt.timedelta(days=1)

_ANEW = "restore the folder from a backup; or move it away: a new root is made then, which every device must import"


_NAMELESS = CaSubject()

_Private: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Authority:
    certificate: x509.Certificate
    key: _Private


class Local:
    """
    Implements `ports.Issuer`, with its root in a folder, `STATE/ca`. Issuing keeps no record: begun anew, it costs nothing.
    """

    def __init__(self, *, directory: str, clock: Clock, keys: Keys, subject: CaSubject = _NAMELESS) -> None:
        """
        Args:
            subject: what a root is called that is made; one that is there keeps its name.
        """
        self._subject = subject
        self._directory = Path(directory).absolute()
        self._clock = clock
        self._keys = keys
        self._making_root = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def issue(self, spec: CertificateSpec, *, progress: Callable[[str], None]) -> AsyncIterator[Issued]:
        """
        Issue a certificate, as `ports.Issuer.issue`.
        """
        progress("reading the local CA's root")
        root = await self._root()
        now = max(self._clock.now(), root.certificate.not_valid_before_utc + TOLERANCE)  # a clock before that is wrong
        until = min(now - TOLERANCE + LEAF_LIFE, root.certificate.not_valid_after_utc)
        if until - now < _LEAST_LIFE:
            end = root.certificate.not_valid_after_utc.date()
            raise IssuanceError(
                Problem(type="internal", detail=f"the local CA's root in {self._directory} ends on {end}; {_ANEW}")
            )
        progress("making the key")
        passing = _private(await self._keys.new(KeyKind.ECDSA_P256))
        secret = await self._keys.new(spec.key)
        key = _private(secret)
        progress("signing")
        try:
            intermediate = _sign_intermediate(root, passing, spec.names, now - TOLERANCE, until)
            leaf = _sign_leaf(intermediate, key, spec.names, now - TOLERANCE, until)
        except ValueError as error:
            names = ", ".join(spec.names)
            raise IssuanceError(
                Problem(type="internal", detail=f"the local CA cannot write a certificate for {names}: {error}")
            ) from error
        yield Issued(chain=_pem(leaf) + _pem(intermediate.certificate), private_key=secret)

    async def abandon(self, name: str) -> None:
        """
        Do nothing: nothing is ever begun.
        """

    async def exists(self) -> bool:
        """
        Tell whether the root was made already: then it can be read without the lock.

        Raises:
            StateError: it cannot be seen.
        """
        with durable.translated(self._folder):
            return await durable.in_thread((self._folder / "root.pem").exists)

    async def root_pem(self) -> str:
        """
        Return the root's certificate as PEM, for people to import. Makes the root when there is none: hold the lock.

        Raises:
            StateError: the root is damaged, or cannot be written.
        """
        return _pem((await self._root()).certificate)

    async def root_der(self) -> bytes:
        """
        Return the root's certificate as DER, as `root_pem`.
        """
        return (await self._root()).certificate.public_bytes(serialization.Encoding.DER)

    async def _root(self) -> _Authority:
        async with self._making_root:
            found = await durable.in_thread(functools.partial(_load_root, self._folder))
            if found:
                return found
            secret = await self._keys.new(KeyKind.ECDSA_P256)
            made = _make_root(_private(secret), self._clock.now(), self._subject)
            files = {"root.pem": _pem(made.certificate).encode(), "privkey.pem": secret.reveal().encode()}
            await durable.in_thread(functools.partial(_store_root, self._folder, files))
            return made

    @property
    def _folder(self) -> Path:
        return self._directory / "root"


def _load_root(folder: Path) -> _Authority | None:
    """
    Read the root; None when there never was one.

    Raises:
        StateError: it is damaged.
    """
    if not (folder.exists() or folder.is_symlink()):
        return None
    path = folder / "root.pem"
    try:
        certificate = x509.load_pem_x509_certificate(durable.read(path))
        # Read here what is needed of it later: the library looks at each part when it is asked for.
        public_key, _, _ = certificate.public_key(), certificate.subject, certificate.not_valid_after_utc
        path = folder / "privkey.pem"
        key = serialization.load_pem_private_key(durable.read(path), password=None)
    except OSError as error:
        if error.errno in durable.BROKEN:
            raise StateError(str(path), f"the local CA's root cannot be read ({error.strerror})", _ANEW) from error
        raise durable.state_error(path, error) from error
    except UNREADABLE:
        raise StateError(str(path), "the local CA's root is damaged", _ANEW) from None  # the cause may quote the key
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)) or key.public_key() != public_key:
        raise StateError(str(path), "this is not the key of the local CA's root", _ANEW)
    return _Authority(certificate=certificate, key=key)


def _store_root(folder: Path, files: dict[str, bytes]) -> None:
    with durable.translated(folder):
        durable.make_folders(folder.parent)
        staged = folder.with_name(".root")
        durable.stage_folder(staged, files)
        durable.move_folder(staged, folder)


def _make_root(key: _Private, now: dt.datetime, subject: CaSubject) -> _Authority:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = root_name(subject, identifier)
    certificate = (
        _builder(name, name, key, min(now, _FIRST_RELEASE) - TOLERANCE, max(now, _FIRST_RELEASE) + ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Authority(certificate=certificate, key=key)


def _sign_intermediate(
    root: _Authority, key: _Private, names: Sequence[Name], begin: dt.datetime, until: dt.datetime
) -> _Authority:
    above = root.certificate.subject
    certificate = (
        _builder(name_below(above, "Gatelodge local intermediate"), above, key, begin, until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_constraints(names), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key()), critical=False)
        .sign(root.key, hashes.SHA256())
    )
    return _Authority(certificate=certificate, key=key)


def _sign_leaf(
    intermediate: _Authority, key: _Private, names: Sequence[Name], begin: dt.datetime, until: dt.datetime
) -> x509.Certificate:
    above = intermediate.certificate.subject
    return (
        # No host name as subject: visitors read the SAN, and old ones would hold an address there against the constraints.
        _builder(name_below(above, "Gatelodge local certificate"), above, key, begin, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(enciphers_keys=isinstance(key, rsa.RSAPrivateKey)), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(intermediate.key.public_key()), critical=False
        )
        .sign(intermediate.key, hashes.SHA256())
    )


def _constraints(names: Sequence[Name]) -> x509.NameConstraints:
    """
    Permit the names and nothing else (RFC 5280 §4.2.1.10).

    A kind of name of which none is permitted would be free, so it is excluded whole. A host name permits what lies below it
    too: the standard knows nothing narrower.
    """
    hosts = [x509.DNSName(name.removeprefix("*.")) for name in names if not is_ip(name)]
    addresses = [x509.IPAddress(ipaddress.ip_network(name)) for name in names if is_ip(name)]
    excluded: list[x509.GeneralName] = []
    if not hosts:
        excluded.append(x509.DNSName(""))
    if not addresses:
        excluded += [x509.IPAddress(ipaddress.ip_network(every)) for every in ("0.0.0.0/0", "::/0")]
    return x509.NameConstraints(
        permitted_subtrees=[*dict.fromkeys(hosts), *addresses], excluded_subtrees=excluded or None
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: _Private, begin: dt.datetime, until: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(until)
    )


def _usage(*, signs_certificates: bool = False, enciphers_keys: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=enciphers_keys,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private(secret: Secret) -> _Private:
    # It was made a moment ago: to check an RSA key's primes again would hold up everything for 30 ms and more.
    key = serialization.load_pem_private_key(
        secret.reveal().encode(), password=None, unsafe_skip_rsa_key_validation=True
    )
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise TypeError("Keys makes ECDSA and RSA keys only")
    return key


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
