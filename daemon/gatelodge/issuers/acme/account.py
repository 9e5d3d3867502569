"""
The account at one CA: made once, kept in one document with its key, found again when either side forgot the other.

A key is on disk before the CA hears of it, and no key is lost that the account may go by: a directory URL that changed under the
same name puts the old account aside, and takes it back when the URL comes back; a new key stands beside the old one until it is
known which of them the CA takes; an account that is given up is marked before, and put aside after.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from gatelodge.acme import accounts
from gatelodge.acme.client import Client
from gatelodge.acme.signer import Signer
from gatelodge.acme.single_flight import SingleFlight
from gatelodge.errors import HttpUnreachable, IssuanceError
from gatelodge.issuers.acme.account_document import AccountDocument, Kept
from gatelodge.issuers.acme.passing import may_have_acted, passes
from gatelodge.model import KeyKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatelodge.acme import messages
    from gatelodge.acme.transport import Transport
    from gatelodge.errors import Problem
    from gatelodge.issuers.acme.budgets import Purse
    from gatelodge.issuers.acme.customers import Binding
    from gatelodge.model import CertificateAuthority, Secret
    from gatelodge.ports import Documents, Events, Keys

#: What a CA says of an account that was given up before (RFC 8555 §7.3.6), or that it forgot since.
_GONE = frozenset({"unauthorized", "accountDoesNotExist"})


class Account:
    """
    Our account at one CA.

    `roll_over` and `deactivate` want nobody else to use the account meanwhile: what the old key signed or showed is worth nothing
    after. When the daemon dies in one of them, the next call of any method finishes what was begun.
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
        purse: Purse,
        binding: Binding | None = None,
    ) -> None:
        """
        Args:
            email: told to the CA when the account is made.
            purse: what making one is paid from.
            binding: gives what the CA knows its customer by, where it wants that.
        """
        self._ca = authority.name
        self._directory = authority.directory
        self._transport = transport
        self._document = AccountDocument(documents=documents, name=authority.name, directory=authority.directory)
        self._keys = keys
        self._email = email
        self._events = events
        self._purse = purse
        self._binding = binding
        self._client: Client | None = None
        self._flight = SingleFlight()
        self._settling = asyncio.Lock()

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
        Return the account's client, or None when it is not registered, or in the middle of a change. Asks nobody.

        Raises:
            StateError: the account could not be read.
        """
        if self._client is not None:
            return self._client
        kept = await self._document.look()
        return None if kept is None or kept.unsettled else self._made(kept)

    async def recover(self, kid: str, *, progress: Callable[[str], None]) -> None:
        """
        Find the account again after the CA said that it does not know `kid`; register it anew, with the same key, if need be.

        Raises: as `client`.
        """

        async def work() -> None:
            if self._client is None or self._client.kid == kid:
                self._client = None
                kept = await self._settled(progress)
                if kept is not None:
                    await self._enter(kept, progress)

        await self._flight.run(work)

    async def show(self, *, progress: Callable[[str], None]) -> messages.Account | None:
        """
        Return what the CA has of the account; None when there is none. Registers nothing.

        Raises: as `client`.
        """
        kept = await self._existing(progress)
        return None if kept is None else await accounts.read(self._transport, self._signer(kept))

    async def update(self, email: str | None, *, progress: Callable[[str], None]) -> messages.Account | None:
        """
        Change whom the CA writes to; None takes the address away. Returns the account as it is then, None when there is none.

        Raises: as `client`.
        """
        kept = await self._existing(progress)
        return None if kept is None else await accounts.update(self._transport, self._signer(kept), email=email)

    async def roll_over(self, *, progress: Callable[[str], None]) -> bool:
        """
        Give the account a new key. Tells whether there was an account.

        Raises: as `client`. The CA refused: it goes by its old key. The CA could not be asked: by one of the two, which are both kept.
        """
        kept = await self._existing(progress)
        if kept is None:
            return False
        progress(f"changing the account's key at {self._ca}")
        kept = dataclasses.replace(kept, next_key=await self._keys.new(KeyKind.ECDSA_P256))
        async with self._settling:
            self._client = None
            await self._document.write(kept)
            kept, refusal = await self._change(kept)
        self._client = self._made(kept)
        if refusal is not None:
            raise IssuanceError(refusal)
        return True

    async def deactivate(self, *, progress: Callable[[str], None]) -> bool:
        """
        Give the account up for good. Whoever needs one afterwards registers another. Tells whether there was one.

        Raises: as `client`.
        """
        kept = await self._existing(progress)
        if kept is None:
            return False
        kept = dataclasses.replace(kept, leaving=True)
        async with self._settling:
            self._client = None
            await self._document.write(kept)
            await self._leave(kept, progress)
        return True

    async def _open(self, progress: Callable[[str], None]) -> None:
        kept = await self._settled(progress)
        if kept is not None:
            self._client = self._made(kept)
            if self._client is None:
                await self._enter(kept, progress)
            return
        kept = Kept(directory=self._directory, kid=None, key=await self._keys.new(KeyKind.ECDSA_P256))
        await self._document.write(kept)
        await self._enter(kept, progress, fresh=True)

    async def _enter(self, kept: Kept, progress: Callable[[str], None], *, fresh: bool = False) -> None:
        """
        Find the account of a key that is on disk, or make it.
        """
        progress(f"registering at {self._ca}")
        signer = self._reads(kept.key)
        found = None if fresh else await self._find(signer)
        account = found or await self._new(signer)
        kept = dataclasses.replace(kept, kid=account.url)
        await self._document.write(kept)
        self._client = self._made(kept)
        if found is None:
            self._events.emit("account.registered", ca=self._ca, url=account.url)

    async def _new(self, signer: Signer) -> messages.Account:
        binding = await self._binding() if self._binding else None
        await self._purse.account()
        try:
            return await accounts.register(self._transport, signer, email=self._email, binding=binding)
        except HttpUnreachable:
            await self._purse.account_refused(None)
            raise
        except IssuanceError as error:
            if not may_have_acted(error):
                await self._purse.account_refused(error.problem)
            if error.problem.type not in {"externalAccountRequired", "externalAccount"}:
                raise
            remedy = f"give `eab` in [acme.cas.{self._ca}] the kid and hmac_key that the CA shows its customers"
            told = dataclasses.replace(error.problem, detail=f"{self._ca}: {error.problem.detail}; {remedy}")
            raise IssuanceError(told) from error

    async def _find(self, signer: Signer) -> messages.Account | None:
        try:
            return await accounts.find(self._transport, signer)
        except IssuanceError as error:
            if error.problem.type == "accountDoesNotExist":
                return None
            raise

    async def _existing(self, progress: Callable[[str], None]) -> Kept | None:
        """
        Return the account where there is one, found at the CA when it was not known here what became of its registration.
        """
        kept = await self._settled(progress)
        if kept is None or kept.kid is not None:
            return kept
        account = await self._find(self._reads(kept.key))
        if account is None:
            return None
        kept = dataclasses.replace(kept, kid=account.url)
        await self._document.write(kept)
        return kept

    async def _settled(self, progress: Callable[[str], None]) -> Kept | None:
        """
        Return what is on disk, after finishing what a dying daemon left in the middle.
        """
        async with self._settling:
            kept = await self._document.take()
            if kept is not None and kept.next_key is not None:
                progress(f"asking {self._ca} which key the account goes by")
                kept, _ = await self._change(kept)
            if kept is not None and kept.leaving:
                await self._leave(kept, progress)
                kept = None
            return kept

    async def _change(self, kept: Kept) -> tuple[Kept, Problem | None]:
        """
        Have the account go by the new key that is on disk. Returns what is there then, and why the CA refused if it did.
        """
        if kept.next_key is None:
            raise AssertionError("a new key is on disk before the CA hears of it")
        changed = dataclasses.replace(kept, key=kept.next_key, next_key=None)
        settled, refusal = changed, None
        try:
            await accounts.roll_over(self._transport, self._signer(kept), self._reads(kept.next_key))
        except IssuanceError as error:
            if passes(error.problem):
                raise
            # Also when it was told twice: then the old key is one that it does not take any more.
            if not await self._goes_by_new(kept, changed):
                settled, refusal = dataclasses.replace(kept, next_key=None), error.problem
        await self._document.write(settled)
        if refusal is None:
            self._events.emit("account.key_changed", ca=self._ca, url=kept.kid)
        return settled, refusal

    async def _goes_by_new(self, kept: Kept, changed: Kept) -> bool:
        """
        Ask which of two keys the account has.

        Raises:
            IssuanceError: also when the CA answers to neither.
        """
        try:
            found = await self._find(self._reads(changed.key))
        except IssuanceError as error:
            if passes(error.problem):
                raise
            await accounts.read(self._transport, self._signer(kept))
            return False
        return found is not None and found.url == kept.kid

    async def _leave(self, kept: Kept, progress: Callable[[str], None]) -> None:
        """
        Give up the account that is marked on disk. A CA that refuses keeps it.
        """
        progress(f"giving the account at {self._ca} up")
        try:
            await accounts.deactivate(self._transport, self._signer(kept))
        except IssuanceError as error:
            if error.problem.type not in _GONE:
                if not passes(error.problem):
                    # It keeps the account, so we do.
                    await self._document.write(dataclasses.replace(kept, leaving=False))
                raise
        await self._document.retire(kept)
        self._events.emit("account.deactivated", ca=self._ca, url=kept.kid)

    def _signer(self, kept: Kept) -> Signer:
        return self._reads(kept.key).known_as(kept.kid or "")

    def _reads(self, key: Secret) -> Signer:
        try:
            return Signer.from_pem(key)
        except ValueError:
            raise self._document.damaged() from None

    def _made(self, kept: Kept) -> Client | None:
        return None if kept.kid is None else Client(transport=self._transport, signer=self._signer(kept))
