"""
Gets certificates from an ACME CA, so that an order survives a crash, and does what else an account can do there.

An order is on disk, with its key, before the CA is asked, and its URL as soon as the CA has named it; what becomes of one that is
found stands in `orders`, how one becomes a certificate in `attempt`. Never in this file: when to try again, when to renew, and what is done with a certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gatelodge.acme import client as acme
from gatelodge.acme.signer import Signer
from gatelodge.acme.transport import Transport
from gatelodge.core.failures import Failure, classify
from gatelodge.errors import IssuanceError, Problem, TransientError
from gatelodge.issuers.acme import preflight
from gatelodge.issuers.acme.account import Account
from gatelodge.issuers.acme.attempt import Attempts, Wish
from gatelodge.issuers.acme.budgets import Budgets
from gatelodge.issuers.acme.passing import passes
from gatelodge.issuers.acme.record import Records
from gatelodge.model import RevocationReason

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from gatelodge.acme.messages import Account as AccountShown
    from gatelodge.issuers.acme.customers import Binding
    from gatelodge.model import CertificateAuthority, CertificateSpec, Name, RenewalInfo, Secret
    from gatelodge.ports import Clock, Documents, Events, Http, Issued, Keys, Resolver, Solver
    from gatelodge.ports.advice import Adviser

#: Orders that are carried on at once. 500 certificates are no reason for 500 connections.
CONCURRENT = 50

#: What a CA says of a certificate that the account did not get there: the certificate's own key may still revoke it (RFC 8555 §7.6).
_NOT_THE_ACCOUNTS = frozenset({"unauthorized", "accountDoesNotExist"})


def _refuses_the_account(problem: Problem) -> bool:
    """
    Tell whether a CA does not know the account, or not by this key (RFC 8555 §6.2; Boulder and pebble call that malformed), as after an old
    backup was restored: then it is looked for by its key, and made anew if need be.
    """
    credentials = problem.type == "malformed" and classify(problem) is Failure.CREDENTIALS
    return credentials or problem.type == "accountDoesNotExist"


class Acme:
    """
    Implements `ports.Issuer` for one CA.
    """

    def __init__(
        self,
        *,
        authority: CertificateAuthority,
        http: Http,
        documents: Documents,
        clock: Clock,
        keys: Keys,
        solvers: Mapping[str, Solver],
        email: str | None,
        events: Events,
        binding: Binding | None = None,
        preferred_chain: str | None = None,
        budgets: Budgets | None = None,
        resolver: Callable[[], Resolver] | None = None,
        adviser: Adviser | None = None,
        passing: Callable[[], str | None] = lambda: None,
        others: Mapping[str, Acme] | None = None,
    ) -> None:
        """
        Args:
            budgets: what is left at all CAs, in the same documents; None for one who asks no other CA.
            resolver: gives what looks up CAA records; None for not to.
            adviser: looks at what the CA did not find by http-01.
            passing: says on what all that is kept lies, when that is gone at the next start: then nothing is ordered.
            others: the issuers of all CAs, by directory.
            solvers: by the word that a spec's `challenges` have for them.
            email: told to the CA as contact.
            binding: gives what the CA knows its customer by, where it wants that.
            preferred_chain: the root that chains should lead to, by its common name or organisation.
        """
        self._authority = authority
        self._transport = Transport(directory=authority.directory, http=http, clock=clock)
        purse = (budgets or Budgets(documents=documents, clock=clock)).of(authority)
        self._account = Account(
            authority=authority,
            transport=self._transport,
            documents=documents,
            keys=keys,
            email=email,
            events=events,
            purse=purse,
            binding=binding,
        )
        self._events = events
        self._preferred_chain = preferred_chain
        self._passing = passing
        self._records = Records(documents)
        self._attempts = Attempts(
            authority=authority,
            transport=self._transport,
            records=self._records,
            purse=purse,
            clock=clock,
            keys=keys,
            solvers=solvers,
            preferred_chain=preferred_chain,
            resolver=resolver,
            adviser=adviser,
            others={} if others is None else others,
        )
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._one_change = asyncio.Lock()
        self._same_names: weakref.WeakValueDictionary[frozenset[Name], asyncio.Lock] = weakref.WeakValueDictionary()

    async def date(self) -> dt.datetime:
        """
        Return the CA's clock.

        Raises:
            TransientError: it cannot be had now.
        """
        return await self._transport.date()

    async def identities(self) -> frozenset[str]:
        """
        Return the names by which CAA records know this CA (`caaIdentities`, RFC 8555 §7.1.1); none when it does not say.

        Raises:
            IssuanceError: it cannot be asked now.
        """
        with self._reached():
            return frozenset((await self._transport.directory()).meta.caa_identities)

    @contextlib.asynccontextmanager
    async def issue(
        self,
        spec: CertificateSpec,
        *,
        progress: Callable[[str], None],
        replaces: str | None = None,
        invited: bool = False,
        force: bool = False,
        private_key: Secret | None = None,
    ) -> AsyncIterator[Issued]:
        """
        Obtain a certificate, as `ports.Issuer` says.

        Args:
            replaces: the identifier of the certificate whose place it takes (RFC 9773 §5), where this CA issued that.
            invited: the CA wants that one replaced about now, so that it should count for none of its limits.
            force: somebody wants it now: our own count of what is left at the CA is no reason not to ask.
            private_key: the one that the certificate is to be for, in place of a new one. An order that was begun has its own.
        """
        wish = Wish(
            spec=spec, replaces=replaces, invited=invited, force=force, private_key=private_key, progress=progress
        )
        yield await self._obtain(wish)
        await self._records.close(spec.name)

    async def abandon(self, name: str) -> None:
        """
        Give up what was begun for a certificate, as `ports.Issuer` says.
        """
        record = await self._records.get(name)
        client = await self._account.known()
        orders = None if client is None else self._attempts.orders(client)
        if record is not None and orders is not None and orders.is_ours(record):
            try:
                with self._reached():
                    await orders.give_up(record)
            except IssuanceError as error:
                # Any other refusal says that there is nothing left to give up.
                if passes(error.problem):
                    raise
            await self._attempts.given_up(record)
        await self._records.close(name)

    async def renewal(self, certificate: str) -> RenewalInfo | None:
        """
        Ask when a certificate of this CA's should be replaced (RFC 9773). None when the CA does not tell. No account is needed.

        Args:
            certificate: its identifier (§4.1).

        Raises:
            IssuanceError: it could not be asked, or refused.
        """
        with self._reached():
            return await acme.ask_renewal(self._transport, certificate)

    async def revoke(self, issued: Issued, *, reason: RevocationReason | None, progress: Callable[[str], None]) -> None:
        """
        Have a certificate of this CA's revoked: by the account or, where it is another account's, by the certificate's own key
        (RFC 8555 §7.6). A key that others have got is shown to the CA, which takes no such key again (Boulder's
        `revokeCertByCertKey`). Nothing happens when the certificate was revoked before.

        Raises:
            IssuanceError: it could not be asked, or refused.
            StateError: the account could not be read.
        """
        certificate = x509.load_pem_x509_certificates(issued.chain.encode())[0].public_bytes(Encoding.DER)
        progress(f"asking {self._authority.name} to revoke the certificate")
        client = None if reason is RevocationReason.KEY_COMPROMISE else await self._account.known()
        with self._reached():
            if client is not None:
                try:
                    await client.revoke(certificate, reason=reason)
                except IssuanceError as error:
                    if error.problem.type not in _NOT_THE_ACCOUNTS:
                        raise
                else:
                    return
            own = Signer.of_certificate(issued.private_key)
            await acme.revoke(self._transport, own, certificate, reason=reason)

    async def account(self, *, progress: Callable[[str], None]) -> AccountShown | None:
        """
        Return what the CA has of our account; None when there is none. Registers nothing.

        Raises:
            IssuanceError: the CA could not be asked, or refused. So everywhere below.
            StateError: the account could not be read or written. So everywhere below.
        """
        with self._reached():
            return await self._account.show(progress=progress)

    async def register(self, *, progress: Callable[[str], None]) -> str:
        """
        Make the account where there is none. Returns its URL.
        """
        with self._reached():
            return (await self._account.client(progress=progress)).kid

    async def update_account(self, email: str | None, *, progress: Callable[[str], None]) -> AccountShown | None:
        """
        Change whom the CA writes to, as `Account.update`.
        """
        with self._reached():
            return await self._account.update(email, progress=progress)

    async def roll_over(self, *, progress: Callable[[str], None]) -> bool:
        """
        Give the account a new key, once no order is on the way. Tells whether there was an account.
        """
        async with self._alone(progress):
            with self._reached():
                return await self._account.roll_over(progress=progress)

    async def deactivate_account(self, *, progress: Callable[[str], None]) -> bool:
        """
        Give the account up for good, once no order is on the way. Tells whether there was one.
        """
        async with self._alone(progress):
            with self._reached():
                return await self._account.deactivate(progress=progress)

    @contextlib.asynccontextmanager
    async def _alone(self, progress: Callable[[str], None]) -> AsyncIterator[None]:
        """
        Wait until no order is on the way, and let none begin inside.
        """
        progress(f"waiting for the orders at {self._authority.name}")
        async with self._one_change, contextlib.AsyncExitStack() as stack:
            for _ in range(CONCURRENT):
                await stack.enter_async_context(self._slots)
            yield

    async def _obtain(self, wish: Wish) -> Issued:
        spec, progress = wish.spec, wish.progress
        if (lies_on := self._passing()) is not None:
            raise IssuanceError(preflight.ephemeral(lies_on, ca=self._authority.name))
        # Let's Encrypt gives two orders for the same names the same pending order, and only one of two keys can have it.
        lock = self._same_names.setdefault(frozenset(spec.names), asyncio.Lock())
        progress(f"waiting for its turn at {self._authority.name}")
        async with lock, self._slots:
            with self._reached():
                client = await self._account.client(progress=progress)
                try:
                    fulfilled = await self._attempts.make(client, wish)
                except IssuanceError as error:
                    if not _refuses_the_account(error.problem):
                        raise
                    await self._account.recover(client.kid, progress=progress)
                    client = await self._account.client(progress=progress)
                    fulfilled = await self._attempts.make(client, wish)
        if not fulfilled.preferred:
            self._events.emit(
                "certificate.other_chain",
                level="warning",
                certificate=spec.name,
                ca=self._authority.name,
                preferred_chain=self._preferred_chain,
                root=fulfilled.root,
            )
        return fulfilled.issued

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        """
        Make trouble on the way to the CA a problem that names it.
        """
        try:
            yield
        except TransientError as error:
            host = urlsplit(self._authority.directory).hostname
            raise IssuanceError(
                Problem(
                    type="unreachable",
                    detail=f"{self._authority.name} ({host}): {error}; check this machine's network and DNS",
                    retry_after=error.retry_after,
                )
            ) from error
