"""
Certificates and documents in memory, with the contract of those on disk: for simulated worlds and tests.

Nothing survives the process. What is put in is checked and copied as it would be on disk, so that what works here works there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gatelodge.model import Secret
from gatelodge.ports import Index, Issued
from gatelodge.stores import contents
from gatelodge.stores.folder import check_name
from gatelodge.stores.naming import check_key, check_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gatelodge.core.observed import Held
    from gatelodge.core.tree import VersionRef
    from gatelodge.model import CertificateSpec, JsonObject
    from gatelodge.ports import Clock


class MemoryStore:
    """
    Implements `ports.Store`. A version's `directory` is `/memory/NAME/versions/V`, with the end it has on
    disk, by which nginx's text is read back.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._versions: dict[str, dict[int, tuple[Held, Issued]]] = {}
        self._last: dict[str, int] = {}

    async def put(self, spec: CertificateSpec, issued: Issued) -> Held:
        """
        Keep a new version, as `ports.Store.put`.
        """
        name = check_name(spec.name)
        checked = contents.check(spec, issued, stored_at=self._clock.now())
        contents.check_successor(self._newest(name), spec)
        number = self._last[name] = self._last.get(name, 0) + 1
        held = checked.held(version=number, directory=f"/memory/{name}/versions/{number}")
        files = checked.files()
        kept = Issued(chain=files[contents.FULL_CHAIN].decode(), private_key=Secret(files[contents.KEY].decode()))
        self._versions.setdefault(name, {})[number] = (held, kept)
        return held

    async def index(self) -> Index:
        """
        Return what is held, as `ports.Store.index`.
        """
        return Index(
            held={name: newest for name in self._versions if (newest := self._newest(name))},
            versions={name: tuple(versions) for name, versions in self._versions.items()},
            damaged={},
        )

    async def verify(self, names: Iterable[str] | None = None) -> None:
        """
        Do nothing: memory does not change behind our back.
        """

    async def read(self, name: str, version: int) -> Issued:
        """
        Return a version, as `ports.Store.read`.
        """
        return self._versions.get(check_name(name), {})[version][1]

    async def prune(self, versions: Iterable[VersionRef]) -> None:
        """
        Delete versions, as `ports.Store.prune`.
        """
        for name, number in versions:
            newest = self._newest(check_name(name))
            if newest and number != newest.version:
                self._versions[name].pop(number, None)

    async def delete(self, name: str) -> None:
        """
        Delete a certificate, as `ports.Store.delete`.
        """
        self._versions.pop(check_name(name), None)

    def _newest(self, name: str) -> Held | None:
        versions = self._versions.get(name)
        return versions[max(versions)][0] if versions else None


class MemoryDocuments:
    """
    Implements `ports.Documents`.
    """

    def __init__(self) -> None:
        self._texts: dict[str, dict[str, str]] = {}

    async def get(self, kind: str, key: str) -> JsonObject | None:
        """
        Return a document, as `ports.Documents.get`.
        """
        text = self._texts.get(check_kind(kind), {}).get(check_key(key))
        return None if text is None else _object(text)

    async def put(self, kind: str, key: str, document: JsonObject) -> None:
        """
        Keep a document, as `ports.Documents.put`.
        """
        text = json.dumps(dict(document), allow_nan=False)
        self._texts.setdefault(check_kind(kind), {})[check_key(key)] = text

    async def delete(self, kind: str, key: str) -> None:
        """
        Remove a document, as `ports.Documents.delete`.
        """
        self._texts.get(check_kind(kind), {}).pop(check_key(key), None)

    async def list(self, kind: str) -> Mapping[str, JsonObject]:
        """
        Return all documents of a kind, as `ports.Documents.list`.
        """
        return {key: _object(text) for key, text in self._texts.get(check_kind(kind), {}).items()}


def _object(text: str) -> JsonObject:
    document: JsonObject = json.loads(text)
    return document
