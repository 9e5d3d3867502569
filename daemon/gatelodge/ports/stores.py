"""
What is kept on disk: certificates in versions, and small documents.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatelodge.core.observed import Held
    from gatelodge.core.tree import VersionRef
    from gatelodge.model import CertificateSpec, JsonObject, Secret


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """
    A new certificate with its private key, as PEM. `chain` is the leaf followed by its intermediates.
    """

    chain: str
    private_key: Secret


class Store(Protocol):
    """
    Certificates, in immutable versions.

    Versions of a certificate are numbered from 1 upwards, and a number is never used again. A version is intact when its files
    are there, the key fits the leaf, and the names and dates written down are those of the leaf.
    """

    async def put(self, spec: CertificateSpec, issued: Issued) -> Held:
        """
        Store a new version and make it the newest.

        When this returns, the version survives a crash; when it raises, the store is as before; when it is cancelled, the store
        is as before or holds the version whole. A placeholder (issuer `SelfSigned`) is refused with ValueError while a certificate from anyone else is held under that name, unless
        that is no longer intact.

        Raises:
            StateError: the store cannot be written, or what is held under that name cannot be read though it may be well: it was
                written by a newer Gatelodge, or belongs to another user.
            ValueError: key and leaf do not fit, the leaf lacks a name of the spec, or see above.
        """
        ...

    async def index(self) -> Index:
        """
        Return what is held. Cheap when nothing has changed: files are read again only when they look different.

        A certificate that cannot be read is named in `damaged`, whatever the reason, and costs no other anything.

        Raises:
            StateError: the store itself cannot be read, or the machine is short of something.
        """
        ...

    async def verify(self, names: Iterable[str] | None = None) -> None:
        """
        Forget what is known of the files of some certificates, or of all, so that the next `index` reads them again.
        """
        ...

    async def read(self, name: str, version: int) -> Issued:
        """
        Return a version's chain and key.

        Raises:
            KeyError: there is none.
            StateError: it cannot be read.
        """
        ...

    async def prune(self, versions: Iterable[VersionRef]) -> None:
        """
        Delete versions. The newest of a certificate is never deleted by this, asked for or not; unknown ones are skipped.
        """
        ...

    async def delete(self, name: str) -> None:
        """
        Delete a certificate, all versions of it. Nothing happens when there is none.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """
    What a store holds: the newest intact version of each certificate, the numbers of all intact versions, and for certificates
    whose newest version is not intact, why. `closed` are those that `put` refuses, since what is there is not ours to replace.
    """

    held: Mapping[str, Held]
    versions: Mapping[str, tuple[int, ...]]
    damaged: Mapping[str, str]
    closed: frozenset[str] = frozenset()


class Documents(Protocol):
    """
    Small JSON documents by kind and key: accounts, orders in flight, failed attempts, quarantined sites.

    Kinds are fixed words of ours with `/` between parts (`journal/orders`); keys are any text without control characters.
    Documents may hold secrets and are readable by the owner only.
    """

    async def get(self, kind: str, key: str) -> JsonObject | None:
        """
        Return a document, or None.

        Raises:
            StateDamaged: it is there and makes no sense; the next `put` replaces it.
            StateError: it is there but cannot be read, or was written by a newer Gatelodge.
        """
        ...

    async def put(self, kind: str, key: str, document: JsonObject) -> None:
        """
        Write a document. Atomic and durable: after a crash it is either the old one or the new one.

        Raises:
            StateError: it cannot be written.
        """
        ...

    async def delete(self, kind: str, key: str) -> None:
        """
        Remove a document. Nothing happens when there is none.
        """
        ...

    async def list(self, kind: str) -> Mapping[str, JsonObject]:
        """
        Return all documents of a kind by key. One that cannot be read is left out, and named to the log.

        Raises:
            StateError: the kind cannot be read at all, or one was written by a newer Gatelodge.
        """
        ...
