"""
How a certificate is made: keys, issuers, and solvers that answer a CA's challenges.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from gatelodge.core.observed import InFiles, Offer
    from gatelodge.errors import Problem
    from gatelodge.model import CertificateSpec, FileIssuer, KeyKind, Name, RenewalInfo, RevocationReason, Secret
    from gatelodge.ports.stores import Issued


class Adoption(Protocol):
    """
    Certificates that other tools hold, in folders that the configuration names.
    """

    async def offers(self, directories: Mapping[str, str]) -> Mapping[str, Offer]:
        """
        Return what is found in folders, by the names they are given under. A folder without a certificate offers nothing. Cheap when
        nothing has changed.
        """
        ...

    async def take(self, spec: CertificateSpec, directory: str) -> tuple[CertificateSpec, Issued]:
        """
        Return the certificate in a folder, and as what it is stored in place of the spec's: for the names that it has.

        Raises:
            IssuanceError: `adopt`: it cannot be used; the text says why.
        """
        ...


class Brought(Protocol):
    """
    Certificates that the user brings, in files that he keeps.
    """

    async def look(self, wanted: Mapping[str, FileIssuer]) -> Mapping[str, InFiles]:
        """
        Return what lies in files, by the NAMEs they are given under. Files that are just being changed count as they were before.
        Cheap when nothing has changed.
        """
        ...

    async def take(self, spec: CertificateSpec) -> tuple[CertificateSpec, Issued]:
        """
        Return the certificate in a spec's files, and as what it is stored: for the names and with the kind of key that it has.

        Raises:
            IssuanceError: `files`: it cannot be used for the names of the spec; the text says why, and what to do.
        """
        ...


class Keys(Protocol):
    """
    Makes private keys.
    """

    async def new(self, kind: KeyKind) -> Secret:
        """
        Return a new private key as unencrypted PKCS#8 PEM. Does not block the loop, however slow the kind.
        """
        ...


class Issuer(Protocol):
    """
    Makes certificates.
    """

    def issue(self, spec: CertificateSpec, *, progress: Callable[[str], None]) -> AbstractAsyncContextManager[Issued]:
        """
        Obtain a certificate for a spec.

        Entering does the work; leaving without an exception closes whatever record was kept for taking it up again after a
        crash, so store the certificate inside. A second call for a spec whose first one was cut short goes on where that was.

        Raises:
            IssuanceError: it cannot be had now; the problem says why and for how long.
            StateError: a record could not be written; nothing was asked of the CA.
        """
        ...

    async def abandon(self, name: str) -> None:
        """
        Give up what was begun for a certificate NAME that nobody asks for any more. Nothing happens when nothing was.

        Raises:
            IssuanceError: the CA could not be told; the record is kept, so that it can be tried again.
        """
        ...


class AccountSeen(Protocol):
    """
    What a CA has of an account (RFC 8555 §7.1.2).
    """

    @property
    def url(self) -> str:
        """
        By what it is known.
        """
        ...

    @property
    def status(self) -> str | None:
        """
        Whether it is good, in the CA's word.
        """
        ...

    @property
    def contact(self) -> tuple[str, ...]:
        """
        Whom the CA writes to.
        """
        ...


class Ca(Issuer, Protocol):
    """
    An ACME CA: an issuer that others run, with rules and wishes of its own.
    """

    def issue(
        self,
        spec: CertificateSpec,
        *,
        progress: Callable[[str], None],
        replaces: str | None = None,
        invited: bool = False,
        force: bool = False,
        private_key: Secret | None = None,
    ) -> AbstractAsyncContextManager[Issued]:
        """
        Obtain a certificate, as `Issuer.issue`.

        Args:
            replaces: the identifier of the certificate of this CA's whose place it takes (RFC 9773 §5).
            invited: now lies in the window that the CA suggested for it.
            force: somebody wants it now, whatever is known to be left of the CA's limits.
            private_key: the one that the certificate is to be for, in place of a new one. An order that was begun has its own.
        """
        ...

    async def renewal(self, certificate: str) -> RenewalInfo | None:
        """
        Ask when a certificate of this CA's should be replaced (RFC 9773). None when the CA does not tell.

        Args:
            certificate: its identifier (§4.1).

        Raises:
            IssuanceError: it could not be asked, or refused. So everywhere below.
        """
        ...

    async def revoke(self, issued: Issued, *, reason: RevocationReason | None, progress: Callable[[str], None]) -> None:
        """
        Have a certificate of this CA's revoked (RFC 8555 §7.6). Nothing happens when it was before.
        """
        ...

    async def account(self, *, progress: Callable[[str], None]) -> AccountSeen | None:
        """
        Return what the CA has of our account; None when there is none. Registers nothing.

        Raises:
            StateError: the account could not be read or written. So everywhere below.
        """
        ...

    async def register(self, *, progress: Callable[[str], None]) -> str:
        """
        Make the account where there is none. Returns its URL.
        """
        ...

    async def update_account(self, email: str | None, *, progress: Callable[[str], None]) -> AccountSeen | None:
        """
        Change whom the CA writes to; None takes the address away. Returns the account as it is then, None when there is none.
        """
        ...

    async def roll_over(self, *, progress: Callable[[str], None]) -> bool:
        """
        Give the account a new key, once no order is on the way. Tells whether there was an account.
        """
        ...

    async def deactivate_account(self, *, progress: Callable[[str], None]) -> bool:
        """
        Give the account up for good, once no order is on the way. Tells whether there was one.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """
    What a solver must make visible for one name (RFC 8555 §8): for http-01 `key_authorization` under `token`, for dns-01 its digest.

    `alias` is where `_acme-challenge` of the name is known to lead; None to find out.
    """

    name: Name
    token: str
    key_authorization: str
    alias: Name | None = None


class Solver(Protocol):
    """
    Answers challenges of one type.
    """

    @property
    def type(self) -> str:
        """
        The challenge type it answers, as ACME spells it: `http-01`.
        """
        ...

    async def refuses(self, names: Sequence[Name], *, alias: Name | None) -> Mapping[Name, Problem]:
        """
        Say which of these names it cannot prove now, and why. Asked before the CA is: finding out costs the CA nothing.

        Args:
            alias: where `_acme-challenge` of the names is known to lead; None to find out.
        """
        ...

    def published(
        self, challenges: Sequence[Challenge], *, progress: Callable[[str], None] = ...
    ) -> AbstractAsyncContextManager[None]:
        """
        Keep the answers to all challenges visible inside the context.

        Entering returns once they are seen to be visible, so that the CA may be told. Leaving, for any reason, takes
        exactly them away again, under a deadline of its own even when cancelled.

        Args:
            progress: told what is waited for.

        Raises:
            IssuanceError: they could not be made visible: `selfCheck` for http-01, the types of `DnsError` for dns-01; everything
                is taken away again.
        """
        ...
