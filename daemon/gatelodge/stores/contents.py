"""
What the files of a certificate version say, and whether they say the same: key, leaf, chain, names, dates.

Works on text only. A version is described once, when it is stored; later its files must agree with that description. How the
files come to the disk, and what happens when they do not agree, is decided elsewhere.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gatelodge.certificate_errors import UNREADABLE
from gatelodge.core import moments
from gatelodge.core.observed import Held
from gatelodge.model import SELF_SIGNED, KeyKind, Name, Secret
from gatelodge.ports import Issued

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.model import CertificateSpec

#: The number that meta.json carries. A higher one is not touched.
FORMAT = 1

FULL_CHAIN, CHAIN, LEAF, KEY, META = "fullchain.pem", "chain.pem", "cert.pem", "privkey.pem", "meta.json"

FILES = (FULL_CHAIN, CHAIN, LEAF, KEY, META)


class Damaged(ValueError):
    """
    A file of a version is not what it must be.
    """

    def __init__(self, file: str, why: str) -> None:
        super().__init__(file, why)
        self.file = file
        self.why = why

    def __str__(self) -> str:
        return f"{self.file}: {self.why}"


class Newer(ValueError):
    """
    A version was written by a Gatelodge that knows more than this one.
    """

    def __init__(self, format_number: int) -> None:
        super().__init__(format_number)
        self.format = format_number

    def __str__(self) -> str:
        return f"written by a newer Gatelodge (format {self.format}, this one knows {FORMAT})"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """
    A version that was checked and is ready to be stored. Its number and folder are given to it then.
    """

    spec: CertificateSpec
    issued: Issued
    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    stored_at: dt.datetime

    def held(self, *, version: int, directory: str) -> Held:
        """
        Say what is held once this is stored.
        """
        return Held(
            name=self.spec.name,
            version=version,
            names=self.spec.names,
            issuer=str(self.spec.issuer),
            key=self.spec.key,
            profile=self.spec.profile,
            stored_at=self.stored_at,
            directory=directory,
            serial=_serial(self.leaf),
            fingerprint=_fingerprint(self.leaf),
            not_before=self.leaf.not_valid_before_utc,
            not_after=self.leaf.not_valid_after_utc,
            chain=_digest(self.files()[FULL_CHAIN]),
            authority=_authority(self.leaf),
        )

    def files(self) -> dict[str, bytes]:
        """
        Return the files by name. Certificates are written anew, so that nothing else a CA's text may hold is kept.
        """
        leaf = self.leaf.public_bytes(serialization.Encoding.PEM)
        rest = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in self.intermediates)
        meta = {
            "format": FORMAT,
            "names": self.spec.names,
            "issuer": str(self.spec.issuer),
            "key": self.spec.key,
            "profile": self.spec.profile,
            "spec": self.spec.digest,
            **_facts(self.leaf),
            "stored_at": self.stored_at.isoformat(),
        }
        return {
            FULL_CHAIN: leaf + rest,
            CHAIN: rest,
            LEAF: leaf,
            KEY: self.issued.private_key.reveal().encode(),
            META: json.dumps(meta, indent=2).encode() + b"\n",
        }


def check(spec: CertificateSpec, issued: Issued, *, stored_at: dt.datetime) -> Contents:
    """
    Check what was issued against what was asked for.

    Raises:
        ValueError: it is no certificate with its key, they do not fit, or the leaf lacks a name of the spec.
    """
    try:
        leaf, *intermediates = _certificates(issued.chain.encode())
        _check_key(leaf, issued.private_key.reveal().encode())
        names = _names(leaf)
    except Damaged as damage:
        raise ValueError(f"what was issued for {spec.name} cannot be stored: {damage}") from damage
    missing = [name for name in spec.names if name not in names]
    if missing:
        raise ValueError(f"the certificate issued for {spec.name} lacks {', '.join(missing)}")
    return Contents(
        spec=spec, issued=issued, leaf=leaf, intermediates=tuple(intermediates), stored_at=stored_at.astimezone(dt.UTC)
    )


def check_successor(held: Held | None, spec: CertificateSpec) -> None:
    """
    Check that a certificate may follow the one held: a placeholder only follows another.

    Raises:
        ValueError: it may not.
    """
    if held and not held.placeholder and str(spec.issuer) == SELF_SIGNED:
        raise ValueError(f"{spec.name} has a certificate from {held.issuer}; a placeholder does not replace it")


def understand(files: Mapping[str, bytes], *, name: str, version: int, directory: str) -> tuple[Held, Issued]:
    """
    Read a stored version and check that its files agree.

    Raises:
        Damaged: they do not.
        Newer: they may, but this Gatelodge cannot tell.
    """
    meta = _meta(files[META])
    leaf = _certificates(files[FULL_CHAIN])[0]
    for field, fact in _facts(leaf).items():
        if meta.get(field) != fact:
            raise Damaged(FULL_CHAIN, f"its leaf is not the one that {META} describes ({field} differs)")
    if files[FULL_CHAIN] != files[LEAF] + files[CHAIN]:
        raise Damaged(FULL_CHAIN, f"it is not {LEAF} followed by {CHAIN}")
    _check_key(leaf, files[KEY])
    try:
        held = Held(
            name=name,
            version=version,
            names=tuple(Name(_word(each)) for each in meta["names"]),
            issuer=str(meta["issuer"]),
            key=KeyKind(meta["key"]),
            profile=None if meta["profile"] is None else _word(meta["profile"]),
            stored_at=moments.read(meta["stored_at"]),
            directory=directory,
            serial=_serial(leaf),
            fingerprint=_fingerprint(leaf),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            chain=_digest(files[FULL_CHAIN]),
            authority=_authority(leaf),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(META, f"it lacks what it must say, or says it wrongly ({error})") from error
    if not held.names or not _names(leaf).issuperset(held.names):
        raise Damaged(META, f"its names are not those of the leaf in {FULL_CHAIN}")
    return held, Issued(chain=_text(files, FULL_CHAIN), private_key=Secret(_text(files, KEY)))


def _text(files: Mapping[str, bytes], file: str) -> str:
    try:
        return files[file].decode()
    except ValueError:
        raise Damaged(file, "it is not text") from None  # the cause may quote the key


def _meta(text: bytes) -> dict[str, Any]:
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(META, f"it is not JSON ({error})") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("format"), int):
        raise Damaged(META, "it has no format number")
    if meta["format"] > FORMAT:
        raise Newer(meta["format"])
    return meta


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(pem)
        found[0].public_key()
    except UNREADABLE as error:
        raise Damaged(FULL_CHAIN, f"it holds no certificate that can be read ({error})") from error
    return found


def _check_key(leaf: x509.Certificate, pem: bytes) -> None:
    """
    Check that a private key is the leaf's. What the library says of a bad key is kept to itself: it may quote the key.
    """
    try:
        # The full check of an RSA key proves its primes: 30 ms for 2048 bits, 230 ms for 4096. Damage shows without.
        key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Damaged(KEY, "it holds no private key that can be read") from None
    if isinstance(key, rsa.RSAPrivateKey) and not _consistent(key):
        raise Damaged(KEY, "the numbers of its RSA key do not belong together")
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey)):
        raise Damaged(KEY, "its key is of a kind that servers do not use")
    if key.public_key() != leaf.public_key():
        raise Damaged(KEY, "its key does not fit the certificate")


def _consistent(key: rsa.RSAPrivateKey) -> bool:
    numbers = key.private_numbers()
    p, q, d, e = numbers.p, numbers.q, numbers.d, numbers.public_numbers.e
    return (
        p * q == numbers.public_numbers.n
        and (d * e) % (p - 1) == 1
        and (d * e) % (q - 1) == 1
        and numbers.dmp1 == d % (p - 1)
        and numbers.dmq1 == d % (q - 1)
        and (numbers.iqmp * q) % p == 1
    )


def _facts(leaf: x509.Certificate) -> dict[str, str]:
    return {
        "serial": _serial(leaf),
        "fingerprint": _fingerprint(leaf),
        "not_before": leaf.not_valid_before_utc.isoformat(),
        "not_after": leaf.not_valid_after_utc.isoformat(),
    }


def _serial(leaf: x509.Certificate) -> str:
    return f"{leaf.serial_number:x}"


def _authority(leaf: x509.Certificate) -> str:
    """
    Return the identifier of the key that signed a certificate; nothing where it does not say, or what it says cannot be read.
    """
    try:
        found = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (*UNREADABLE, x509.ExtensionNotFound):
        return ""
    return found.hex() if found else ""


def _fingerprint(leaf: x509.Certificate) -> str:
    return leaf.fingerprint(hashes.SHA256()).hex()


def _digest(chain: bytes) -> str:
    return hashlib.sha256(chain).hexdigest()


def _names(leaf: x509.Certificate) -> frozenset[str]:
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    except UNREADABLE as error:
        raise Damaged(FULL_CHAIN, f"the names of its leaf cannot be read ({error})") from error
    addresses = (str(address) for address in san.get_values_for_type(x509.IPAddress))
    return frozenset((*(name.lower() for name in san.get_values_for_type(x509.DNSName)), *addresses))


def _word(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError(f"{found!r} is no text")
    return found
