"""
Takes over certificates that other tools hold, as certbot and SWAG keep them: `fullchain.pem` and `privkey.pem` in a folder.

It reads, and writes nothing there. What an adopted certificate lacks, it lacks: it stands in until ours is there.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes

from gatelodge.core.observed import Offer
from gatelodge.durable import in_thread
from gatelodge.errors import IssuanceError, Problem
from gatelodge.issuers import pem
from gatelodge.model import Adopted, covers
from gatelodge.ports import Issued

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.model import CertificateSpec

CHAIN, KEY = "fullchain.pem", "privkey.pem"


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
                leaf = pem.certificates(pem.read(chain))[0]
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
        chain, key = pem.read(folder / CHAIN), pem.read(folder / KEY)
        leaf = pem.certificates(chain)[0]
    except OSError as error:
        why = f"{error.filename} cannot be read: {error.strerror}"
        raise _unfit(spec, why, "let the daemon's user read it, or take `adopt` out") from error
    except ValueError as error:
        raise _unfit(spec, f"{folder / CHAIN} holds no certificate", "name the folder of one") from error
    private_key = _private_key(spec, key, folder)
    names = pem.names(leaf)
    if not any(covers(mine, name) for mine in names for name in spec.names):
        raise _unfit(
            spec, f"the certificate in {folder} is for {', '.join(names) or 'no name'}", "name the folder of another"
        )
    kind = pem.kind(private_key) or spec.key
    stand_in = dataclasses.replace(spec, names=names, issuer=Adopted(), key=kind, profile=None)
    return stand_in, Issued(chain=chain.decode(errors="replace"), private_key=pem.written(private_key))


def _private_key(spec: CertificateSpec, text: bytes, folder: Path) -> pem.PrivateKey:
    try:
        return pem.private_key(text)
    except pem.Encrypted:
        raise _unfit(spec, f"{folder / KEY} is encrypted", "decrypt it (openssl pkey), or take `adopt` out") from None
    except ValueError:
        raise _unfit(spec, f"{folder / KEY} holds no private key", "name the folder of a certificate") from None


def _unfit(spec: CertificateSpec, why: str, remedy: str) -> IssuanceError:
    return IssuanceError(Problem(type="adopt", detail=f"{spec.name}: {why}; {remedy}"))
