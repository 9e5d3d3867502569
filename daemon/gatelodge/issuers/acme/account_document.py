"""
The document of an account: what is kept of it on disk, and under which key.

It decides nothing about accounts. It sees to it that none is overwritten: one of another directory URL, and one that was given
up, are put aside.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.errors import StateError
from gatelodge.model import Secret

if TYPE_CHECKING:
    from gatelodge.model import JsonObject
    from gatelodge.ports import Documents

KIND = "accounts"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """
    An account as it is kept. `kid` is None until the CA has named it. `next_key` is a key that the CA was, or was to be, told of in
    place of `key`. `leaving`: the account was, or was to be, given up.
    """

    directory: str
    kid: str | None
    key: Secret
    next_key: Secret | None = None
    leaving: bool = False

    @property
    def unsettled(self) -> bool:
        """
        True in the middle of a change: what the CA knows is not known here.
        """
        return self.next_key is not None or self.leaving


class AccountDocument:
    """
    The document of the account at one CA. Raises `StateError` as `ports.Documents` does.
    """

    def __init__(self, *, documents: Documents, name: str, directory: str) -> None:
        self._documents = documents
        self._name = name
        self._directory = directory

    async def look(self) -> Kept | None:
        """
        Return the account, or None when there is none for this directory. Changes nothing.
        """
        kept = await self._read(self._name)
        return kept if kept is not None and kept.directory == self._directory else None

    async def take(self) -> Kept | None:
        """
        Return the account for this directory, after putting aside what is there for another under the same name.
        """
        kept = await self._read(self._name)
        if kept is not None and kept.directory != self._directory:
            await self._documents.put(KIND, self._aside(kept.directory), _document(kept))
            kept = None
        if kept is None:
            kept = await self._read(self._aside(self._directory))
            if kept is not None:
                await self.write(kept)
        return kept

    async def write(self, kept: Kept) -> None:
        """
        Write the account. What it says survives a crash once this has returned.
        """
        await self._documents.put(KIND, self._name, _document(kept))

    async def retire(self, kept: Kept) -> None:
        """
        Put an account aside for good.
        """
        await self._documents.put(KIND, self._aside(kept.kid or kept.directory), _document(kept))
        # One that was put aside for this directory before is the same, and would be taken up again.
        await self._documents.delete(KIND, self._aside(self._directory))
        await self._documents.delete(KIND, self._name)

    def damaged(self) -> StateError:
        """
        Return the error for a document that makes no sense.
        """
        return StateError(
            f"{KIND}/{self._name}",
            "is no ACME account",
            "restore it from a backup, or remove it to register a new account",
        )

    def _aside(self, what: str) -> str:
        return f"{self._name} {what}"

    async def _read(self, key: str) -> Kept | None:
        document = await self._documents.get(KIND, key)
        if document is None:
            return None
        directory, kid, pem = document.get("directory"), document.get("kid"), document.get("key")
        following, leaving = document.get("next_key"), document.get("leaving")
        if (
            not isinstance(directory, str)
            or not isinstance(pem, str)
            or not isinstance(kid, str | None)
            or not isinstance(following, str | None)
        ):
            raise self.damaged()
        return Kept(
            directory=directory,
            kid=kid,
            key=Secret(pem),
            next_key=None if following is None else Secret(following),
            leaving=leaving is True,
        )


def _document(kept: Kept) -> JsonObject:
    document: dict[str, object] = {"directory": kept.directory, "kid": kept.kid, "key": kept.key.reveal()}
    if kept.next_key is not None:
        document["next_key"] = kept.next_key.reveal()
    if kept.leaving:
        document["leaving"] = True
    return document
