"""
Takes over certificates that other tools hold, as certbot and SWAG keep them: `fullchain.pem` and `privkey.pem` in a folder.

It reads, and writes nothing there. What an adopted certificate lacks, it lacks: it stands in until ours is there.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gatelodge.core.observed import Offer
from gatelodge.durable import in_thread
from gatelodge.errors import IssuanceError, Problem
from gatelodge.model import Adopted, KeyKind, Name, Secret, covers
from gatelodge.ports import Issued

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.model import CertificateSpec

CHAIN, KEY = "fullchain.pem", "privkey.pem"

_MOST_BYTES = 1024 * 1024

#: Kinds by curve and by size of an RSA key, where ours has a word for them.
_KINDS = {"secp256r1": KeyKind.ECDSA_P256, "secp384r1": KeyKind.ECDSA_P384}
_SIZES = {2048: KeyKind.RSA_2048, 3072: KeyKind.RSA_3072, 4096: KeyKind.RSA_4096}


class Adoptions:
    """
    Implements `ports.Adoption`. A folder is read again when its chain looks different.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int, int], Offer | None]] = {}

    async def offers(self, directories: Mapping[str, str]) -> Mapping[str, Offer]:
        """
        Return what is found, as `ports.Adoption` says.
        """
        return await in_thread(lambda: self._offers(directories)) if directories else {}

    def _offers(self, directories: Mapping[str, str]) -> dict[str, Offer]:
        found = {name: self._offer(directory) for name, directory in directories.items()}
        return {name: offer for name, offer in found.items() if offer is not None}

    def _offer(self, directory: str) -> Offer | None:
        chain = Path(directory) / CHAIN
        try:
            seen = chain.stat()  # live/NAME/ holds links to what is newest
            mark = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
            known = self._known.get(directory)
            if known is None or known[0] != mark:
                leaf = x509.load_pem_x509_certificates(_read(chain))[0]
                offer = Offer(fingerprint=leaf.fingerprint(hashes.SHA256()).hex(), not_after=leaf.not_valid_after_utc)
                known = self._known[directory] = (mark, offer)
        except (OSError, ValueError):
            return None
        return known[1]

    async def take(self, spec: CertificateSpec, directory: str) -> tuple[CertificateSpec, Issued]:
        """
        Return a certificate, as `ports.Adoption` says.
        """
        return await in_thread(lambda: _take(spec, Path(directory)))


def _take(spec: CertificateSpec, folder: Path) -> tuple[CertificateSpec, Issued]:
    try:
        chain, key = _read(folder / CHAIN), _read(folder / KEY)
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except OSError as error:
        why = f"{error.filename} cannot be read: {error.strerror}"
        raise _unfit(spec, why, "let the daemon's user read it, or take `adopt` out") from error
    except ValueError as error:
        raise _unfit(spec, f"{folder / CHAIN} holds no certificate", "name the folder of one") from error
    private_key, kind = _private_key(spec, key, folder)
    names = _names(leaf)
    if not any(covers(mine, name) for mine in names for name in spec.names):
        raise _unfit(
            spec, f"the certificate in {folder} is for {', '.join(names) or 'no name'}", "name the folder of another"
        )
    stand_in = dataclasses.replace(spec, names=names, issuer=Adopted(), key=kind or spec.key, profile=None)
    return stand_in, Issued(chain=chain.decode(), private_key=private_key)


def _private_key(spec: CertificateSpec, pem: bytes, folder: Path) -> tuple[Secret, KeyKind | None]:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except TypeError:
        raise _unfit(spec, f"{folder / KEY} is encrypted", "decrypt it (openssl pkey), or take `adopt` out") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _unfit(spec, f"{folder / KEY} holds no private key", "name the folder of a certificate") from None
    kind = None
    if isinstance(key, ec.EllipticCurvePrivateKey):
        kind = _KINDS.get(key.curve.name)
    elif isinstance(key, rsa.RSAPrivateKey):
        kind = _SIZES.get(key.key_size)
    written = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Secret(written.decode()), kind


def _names(leaf: x509.Certificate) -> tuple[Name, ...]:
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = [str(address) for address in san.get_values_for_type(x509.IPAddress)]
    return tuple(Name(name.lower()) for name in (*san.get_values_for_type(x509.DNSName), *addresses))


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_MOST_BYTES)


def _unfit(spec: CertificateSpec, why: str, remedy: str) -> IssuanceError:
    return IssuanceError(Problem(type="adopt", detail=f"{spec.name}: {why}; {remedy}"))
