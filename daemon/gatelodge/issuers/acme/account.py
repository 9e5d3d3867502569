"""
The account at one CA: made once, kept in one document with its key, found again when either side forgot the other.

The key is on disk before the CA hears of it, and none is ever overwritten: a directory URL that changed under the same name
puts the old account aside, and takes it back when the URL comes back.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.acme import client as acme
from gatelodge.acme.client import Client
from gatelodge.acme.signer import Signer
from gatelodge.acme.single_flight import SingleFlight
from gatelodge.errors import IssuanceError, StateError
from gatelodge.model import KeyKind, Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.acme import messages
    from gatelodge.acme.transport import Transport
    from gatelodge.model import CertificateAuthority, JsonObject
    from gatelodge.ports import Documents, Events, Keys

KIND = "accounts"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    directory: str
    kid: str | None
    key: Secret


class Account:
    """
    Our account at one CA.
    """

    def __init__(
        self,
        *,
        authority: CertificateAuthority,
        transport: Transport,
        documents: Documents,
        keys: Keys,
        email: str | None,
        events: Events,
    ) -> None:
        self._authority = authority
        self._transport = transport
        self._documents = documents
        self._keys = keys
        self._email = email
        self._events = events
        self._client: Client | None = None
        self._flight = SingleFlight()

    async def client(self, *, progress: Callable[[str], None]) -> Client:
        """
        Return the account's client, registering first where there is none. Many callers at once register once.

        Raises:
            IssuanceError, TransientError: the CA refused, or could not be asked.
            StateError: the account could not be read or written.
        """
        while self._client is None:
            await self._flight.run(lambda: self._open(progress))
        return self._client

    async def known(self) -> Client | None:
        """
        Return the account's client, or None when it is not registered. Asks nobody.

        Raises:
            StateError: the account could not be read.
        """
        if self._client is not None:
            return self._client
        stored = await self._stored(self._authority.name)
        if stored is None or stored.kid is None or stored.directory != self._authority.directory:
            return None
        return self._made(self._signer(stored), stored.kid)

    async def recover(self, kid: str, *, progress: Callable[[str], None]) -> None:
        """
        Find the account again after the CA said that it does not know `kid`; register it anew, with the same key, if need be.

        Raises: as `client`.
        """

        async def work() -> None:
            if self._client is None or self._client.kid == kid:
                self._client = None
                await self._register(await self._own(), progress, fresh=False)

        await self._flight.run(work)

    async def _open(self, progress: Callable[[str], None]) -> None:
        client = await self.known()
        if client is not None:
            self._client = client
            return
        kept = await self._own()
        if kept is None:
            key = await self._keys.new(KeyKind.ECDSA_P256)
            stored = _Stored(directory=self._authority.directory, kid=None, key=key)
            await self._write(stored)
        await self._register(kept or stored, progress, fresh=kept is None)

    async def _register(self, stored: _Stored | None, progress: Callable[[str], None], *, fresh: bool) -> None:
        if stored is None:
            raise AssertionError("an account that was used has a document")
        progress(f"registering at {self._authority.name}")
        signer = self._signer(stored)
        account = None if fresh else await self._find(signer)
        new = account is None
        if account is None:
            account = await acme.register(self._transport, signer, email=self._email)
        await self._write(dataclasses.replace(stored, kid=account.url))
        self._client = self._made(signer, account.url)
        if new:
            self._events.emit("account.registered", ca=self._authority.name, url=account.url)

    async def _find(self, signer: Signer) -> messages.Account | None:
        try:
            return await acme.find(self._transport, signer)
        except IssuanceError as error:
            if error.problem.type == "accountDoesNotExist":
                return None
            raise

    async def _own(self) -> _Stored | None:
        """
        Return what is stored for this directory, after putting aside what is stored for another under the same name.
        """
        name, directory = self._authority.name, self._authority.directory
        stored = await self._stored(name)
        if stored is not None and stored.directory != directory:
            await self._documents.put(KIND, _aside(name, stored.directory), _document(stored))
            stored = None
        if stored is None:
            stored = await self._stored(_aside(name, directory))
            if stored is not None:
                await self._write(stored)
        return stored

    async def _stored(self, key: str) -> _Stored | None:
        document = await self._documents.get(KIND, key)
        if document is None:
            return None
        directory, kid, pem = document.get("directory"), document.get("kid"), document.get("key")
        if not isinstance(directory, str) or not isinstance(pem, str) or not isinstance(kid, str | None):
            raise self._damaged()
        return _Stored(directory=directory, kid=kid, key=Secret(pem))

    async def _write(self, stored: _Stored) -> None:
        await self._documents.put(KIND, self._authority.name, _document(stored))

    def _signer(self, stored: _Stored) -> Signer:
        try:
            return Signer.from_pem(stored.key)
        except ValueError:
            raise self._damaged() from None

    def _made(self, signer: Signer, kid: str) -> Client:
        return Client(transport=self._transport, signer=signer.known_as(kid))

    def _damaged(self) -> StateError:
        return StateError(
            f"{KIND}/{self._authority.name}",
            "is no ACME account",
            "restore it from a backup, or remove it to register a new account",
        )


def _aside(name: str, directory: str) -> str:
    return f"{name} {directory}"


def _document(stored: _Stored) -> JsonObject:
    return {"directory": stored.directory, "kid": stored.kid, "key": stored.key.reveal()}
