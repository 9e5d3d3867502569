"""
The world as the rest of Gatelodge sees it: one Protocol for each thing that can be swapped.

A port's docstrings are the contract: what is atomic, what may be called again, what happens on cancellation. `tests/contracts`
holds one suite for each port and runs it on every implementation and on its fake. Every coroutine here honours cancellation:
it cleans up what it began and raises `CancelledError` on.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

from gatelodge.core.addresses import Standing as Standing  # noqa: PLC0414, TC001 - a word of this contract, decided about in core

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from gatelodge.core.observed import Held
    from gatelodge.core.observed import Nginx as NginxObserved
    from gatelodge.core.tree import Rendered, VersionRef
    from gatelodge.errors import Problem
    from gatelodge.model import CertificateSpec, JsonObject, KeyKind, Name, Secret


class Clock(Protocol):
    """
    Time. Everything that waits, waits through this.
    """

    def now(self) -> dt.datetime:
        """
        Return the wall clock's time, aware, in UTC.
        """
        ...

    def monotonic(self) -> float:
        """
        Return seconds that never go back, for deadlines.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """
        Return after so many seconds.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """
    An answer. Header names are lower case; of several with one name all are kept, in order.
    """

    status: int
    headers: Mapping[str, tuple[str, ...]]
    body: bytes

    def header(self, name: str) -> str | None:
        """
        Return the first header of that name (given in lower case).
        """
        values = self.headers.get(name)
        return values[0] if values else None


class Http(Protocol):
    """
    An HTTP client with one idea of whom to trust: the machine's roots, or the private root it was made with.
    """

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        """
        Send a request and read the whole answer. Redirects are answers. Bodies over 10 MiB are refused.

        Args:
            timeout: seconds for everything together.

        Raises:
            HttpUnreachable: nothing was sent.
            HttpDisconnected: something was sent, but no whole answer came.
        """
        ...


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

    def published(self, challenges: Sequence[Challenge]) -> AbstractAsyncContextManager[None]:
        """
        Keep the answers to all challenges visible inside the context.

        Entering returns once they are seen to be visible, so that the CA may be told. Leaving, for any reason, takes
        exactly them away again, under a deadline of its own even when cancelled.

        Raises:
            IssuanceError: they could not be made visible: `selfCheck` for http-01, the types of `DnsError` for dns-01; everything
                is taken away again.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TxtRecord:
    """
    One TXT value under a name. Names are A-labels in lower case without a final dot; `zone` is the provider's zone that holds it.
    """

    zone: str
    name: str
    value: str


class DnsProvider(Protocol):
    """
    Publishes TXT records.

    Adding and removing may be called at once for many records. It neither remembers nor writes down what it added: that is the
    caller's, who journals first and removes later, perhaps in another life of the process.
    """

    async def zone_of(self, name: str) -> str:
        """
        Return the zone, among those it serves, that holds a name: the one with the longest suffix of it.

        Raises:
            DnsError: `dnsZone`: it serves none; `dnsCredentials`; `dnsProvider`: not now.
        """
        ...

    async def name_servers(self, zone: str) -> frozenset[str] | None:
        """
        Return the host names of the name servers that publish a zone of it; None when that cannot be told.

        Raises:
            DnsError: as above.
        """
        ...

    async def add(self, record: TxtRecord) -> str | None:
        """
        Add one value beside whatever values the name has. Returns how the provider calls the record, None when it has no such names.

        A value that is there already counts as added. When this raises, or is cancelled, the record may be there or not.

        Raises:
            DnsError: it cannot be added: `dnsProvider`, `dnsCredentials`, `dnsZone`, `dnsRecord`.
        """
        ...

    async def remove(self, record: TxtRecord, known_as: str | None) -> None:
        """
        Remove exactly this value and leave the others of that name. One that is not there counts as removed.

        Args:
            known_as: what `add` returned; None when that was never learned.

        Raises:
            DnsError: as `add`.
        """
        ...


class AddressProvider(DnsProvider, Protocol):
    """
    A DNS provider that keeps addresses too.
    """

    async def standing(self, zone: str, name: str) -> Standing:
        """
        Return what the zone holds under a name.

        Raises:
            DnsError: it cannot be told.
        """
        ...

    async def set_address(self, zone: str, name: str, address: str, *, instead_of: str | None) -> None:
        """
        Make an address the only one of its family (A or AAAA, by its form) under a name.

        Args:
            instead_of: the one that is there and is to be replaced; None when there is none. Others are never touched.

        Raises:
            DnsError: `dnsRecord`: something else stands there by now; otherwise as `add`.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """
    The zone that holds a name in the public DNS, and the host names of its name servers.
    """

    zone: str
    servers: frozenset[str]


class Resolver(Protocol):
    """
    The DNS as the world sees it, and so the CA. Look-ups go past caches where they can; what a LAN rewrites is noticed.
    """

    async def canonical(self, name: str) -> str:
        """
        Follow CNAMEs from a name and return where they end: the name itself when there is none.

        Raises:
            DnsError: `dnsRecord`: they go in a circle or are too many; `dnsProvider`: nothing answers.
        """
        ...

    async def authority(self, name: str) -> Authority:
        """
        Return the zone that holds a name, found by its SOA, and its name servers.

        Raises:
            DnsError: `dnsZone`: no zone holds it; `dnsProvider`: nothing answers.
        """
        ...

    async def wait_for(
        self,
        wanted: Mapping[str, frozenset[str]],
        *,
        kind: str,
        within: dt.timedelta,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """
        Return once every authoritative name server has all values wanted under each name.

        When no server and no DNS-over-HTTPS service can be asked, returns after `within`: there is nothing better than waiting.

        Args:
            wanted: values by name; TXT values as text, addresses in canonical form.
            kind: the record type: `TXT`, `A`, `AAAA`.
            within: the longest wait.

        Raises:
            DnsError: `propagation`: not there in time; it says which server lacks what.
        """
        ...


class Nginx(Protocol):
    """
    The nginx behind which everything happens, and the trees it is given.

    Never two calls that change it at once: the caller keeps to one job for nginx.
    """

    async def observe(self) -> NginxObserved:
        """
        Return what is there and what runs. Never raises for a missing or dead nginx: that is something observed.
        """
        ...

    async def apply(self, rendered: Rendered) -> int:
        """
        Make nginx serve a tree: stage it under a new number, test, swap, start or reload, prove. Returns the number.

        Durable and all or nothing: on any failure, cancellation included, what was proven before is current again and served.

        Raises:
            NginxMissing: there is no nginx.
            NginxRefused: nginx said no; the staged tree is gone.
            NginxUnproven: it did not come to serve the tree in time; the one before is back.
            StateError: the tree could not be written.
        """
        ...

    async def roll_back(self) -> None:
        """
        Make the last proven tree current, and reload a running nginx with it; without a proven one, nothing is current.

        Raises: as `apply`.
        """
        ...

    async def start(self) -> None:
        """
        Start nginx on the current tree. Returns once it listens. Nothing happens when it runs.

        Raises:
            NginxMissing: there is no nginx.
            NginxRefused: it did not start.
        """
        ...

    async def stop(self, *, grace: float) -> None:
        """
        Stop nginx gracefully (QUIT), after `grace` seconds at once (TERM). Nothing happens when it does not run.
        """
        ...

    async def exited(self) -> None:
        """
        Return when a running nginx has ended. Waits while none runs.
        """
        ...

    async def prune(self, generations: Iterable[int]) -> None:
        """
        Delete trees. The current and the last proven one are never deleted by this.
        """
        ...

    async def site_text(self, site: str) -> str | None:
        """
        Return a site's text (by its file name) in the last proven tree, or None.
        """
        ...


class Events(Protocol):
    """
    What happened, for people and programs: names and fields are an interface, listed in docs/events.md.
    """

    def emit(self, event: str, *, level: str = "info", **fields: object) -> None:
        """
        Write an event down. Never raises: a log that cannot be written must not stop a renewal.

        Args:
            event: a constant name, `certificate.renewed`.
            level: `info`, `warning` or `error`.
            fields: JSON values under fixed names; a dot in a name is written `__` here (`error__type`).
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
