"""
The record of an order in flight: everything that is needed to take it up after a crash, the private key included.

It is written before the CA is asked and closed when the certificate is stored, or the order is dead. One that makes no sense
counts as none: the cost is an order, never a certificate that cannot be renewed.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from gatelodge.core import moments
from gatelodge.core.limits import Kind
from gatelodge.errors import StateDamaged
from gatelodge.model import KeyKind, Name, Secret

if TYPE_CHECKING:
    import datetime as dt

    from gatelodge.model import CertificateSpec, JsonObject
    from gatelodge.ports import Documents

KIND = "journal/orders"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    An order that was begun for a certificate. `begun` counts how often one was; `url` is None until the CA has answered; `kind` is
    what the order is to the CA, by which its failures count.
    """

    certificate: str
    digest: str
    begun: int
    at: dt.datetime
    ca: str
    directory: str
    kid: str
    names: tuple[Name, ...]
    key: KeyKind
    profile: str | None
    private_key: Secret
    url: str | None = None
    kind: Kind = Kind.NEW

    def serves(self, spec: CertificateSpec) -> bool:
        """
        Tell whether its certificate would be the one that the spec asks for.
        """
        return self.digest == spec.digest


class Records:
    """
    The records on disk, by certificate NAME. Raises `StateError` as `ports.Documents` does.
    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def get(self, name: str) -> Record | None:
        """
        Return the record of a certificate, or None.
        """
        try:
            document = await self._documents.get(KIND, name)
        except StateDamaged:
            return None
        return None if document is None else _read(dict(document))

    async def put(self, record: Record) -> None:
        """
        Write a record. What it says survives a crash once this has returned.
        """
        await self._documents.put(KIND, record.certificate, _document(record))

    async def close(self, name: str) -> None:
        """
        Remove the record of a certificate. Nothing happens when there is none.
        """
        await self._documents.delete(KIND, name)

    async def urls(self) -> frozenset[str]:
        """
        Return the orders that some certificate has a record of.
        """
        documents = await self._documents.list(KIND)
        return frozenset(str(document["url"]) for document in documents.values() if document.get("url"))


def _document(record: Record) -> JsonObject:
    return {
        "certificate": record.certificate,
        "digest": record.digest,
        "begun": record.begun,
        "at": record.at.isoformat(),
        "ca": record.ca,
        "directory": record.directory,
        "kid": record.kid,
        "names": list(record.names),
        "key": str(record.key),
        "profile": record.profile,
        "private_key": record.private_key.reveal(),
        "url": record.url,
        "kind": record.kind,
    }


def _read(document: dict[str, Any]) -> Record | None:
    try:
        return Record(
            certificate=document["certificate"],
            digest=document["digest"],
            begun=int(document["begun"]),
            at=moments.read(document["at"]),
            ca=document["ca"],
            directory=document["directory"],
            kid=document["kid"],
            names=tuple(Name(name) for name in document["names"]),
            key=KeyKind(document["key"]),
            profile=document["profile"],
            private_key=Secret(document["private_key"]),
            url=document["url"],
            kind=Kind(document.get("kind", Kind.NEW)),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
