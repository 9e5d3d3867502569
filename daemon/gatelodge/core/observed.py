"""
What is: certificates held, what nginx runs, which jobs run, what failed and when, what people asked for.

A snapshot, taken by `runtime.observe`. It holds no handle; nothing here looks anything up.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.model import ADOPTED, FILES, INTERNAL_HOST, SELF_SIGNED

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from gatelodge.core.ari import Choice
    from gatelodge.core.tree import Capabilities, Generation, Quarantine
    from gatelodge.errors import Problem
    from gatelodge.model import CertificateSpec, IssuerRef, KeyKind, Name, RevocationReason


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """
    The newest intact version of a certificate: what was asked for and what came.

    `directory` is the absolute path that holds its files; `fingerprint` the leaf's SHA-256, `chain` that of the whole chain as it is
    stored, `serial` the leaf's number, `authority` the identifier of the key that signed it (RFC 5280 §4.2.1.1), empty when it does not say;
    all lower-case hex.
    """

    name: str
    version: int
    names: tuple[Name, ...]
    issuer: str
    key: KeyKind
    profile: str | None
    serial: str
    fingerprint: str
    not_before: dt.datetime
    not_after: dt.datetime
    stored_at: dt.datetime
    directory: str
    chain: str = ""
    authority: str = ""

    @property
    def placeholder(self) -> bool:
        """
        True for a self-signed certificate that only stands in for another.
        """
        return self.issuer == SELF_SIGNED

    @property
    def adopted(self) -> bool:
        """
        True for a certificate that another tool got.
        """
        return self.issuer == ADOPTED

    @property
    def content(self) -> str:
        """
        Two certificates with the same one are the same, with their chains.
        """
        return f"{self.fingerprint}:{self.chain}"

    @property
    def brought(self) -> bool:
        """
        True for a certificate that the user brought in files of his: nobody renews it but him.
        """
        return self.issuer == FILES

    def satisfies(self, spec: CertificateSpec) -> bool:
        """
        Tell whether this is the certificate that the spec asks for, from whichever of its issuers, and whatever its age.
        """
        return (
            (self._is_from(spec.issuer, spec.profile) or any(self._is_from(o.issuer, o.profile) for o in spec.others))
            and frozenset(self.names) == frozenset(spec.names)
            and self.key == spec.key
        )

    def _is_from(self, issuer: IssuerRef, profile: str | None) -> bool:
        return self.issuer == str(issuer) and self.profile == profile


def shown(names: Iterable[str], held: Mapping[str, Held]) -> tuple[Held, ...]:
    """
    Choose what nginx shows of the certificates that a site or a stream has: a real one of each kind of key, else the placeholder; nothing
    when it has none.

    Of two of one kind the later one would be shown alone, in place of the first.
    """
    wanted = tuple(names)
    chosen: dict[bool, Held] = {}
    for name in wanted:
        if (each := held.get(name)) is not None and not each.placeholder:
            chosen.setdefault(each.key.is_rsa, each)
    if not chosen and wanted and INTERNAL_HOST in held:
        return (held[INTERNAL_HOST],)
    return tuple(chosen.values())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """
    A certificate that another tool holds, as found in the folder that `adopt` names.
    """

    fingerprint: str
    not_after: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InFiles:
    """
    What lies in the files in which the user brings a certificate. `mark` changes with what they hold; `chain` is the chain's digest
    as in `Held`, None when the files are of no use: taking it says why. While they are `changing`, it is what lay there before.
    """

    mark: str
    chain: str | None
    changing: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """
    A copy of a certificate for another program, whole as it was written: the certificate's `Held.content`, and the digest of the export.
    """

    content: str
    digest: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    How often in a row something failed, why the last time, and when to try again.

    `tries` is what failed (`actions.tries`), `digest` what it worked on: when that changes, it is tried at once.
    """

    tries: str
    digest: str
    failures: int
    problem: Problem
    at: dt.datetime
    retry_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """
    An order that was begun and not closed: by a daemon that died, or by a job that was cut short. `begun` counts how often;
    `issuer` is the text of the issuer's reference.
    """

    certificate: str
    issuer: str
    digest: str
    begun: int
    at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    Work that runs now. At most one job has a given key. `step` is what it is at, and `step_since` since when; None means since the
    beginning.
    """

    key: str
    digest: str
    since: dt.datetime
    step: str = "starting"
    step_since: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """
    nginx as it is found. `missing` says why there is none to run; then `capabilities` is None.

    `running` is the generation that the running master was last given, 0 when it runs an unknown one, None when it does not
    run. `version` is the running master's, None when that is not known: `capabilities` are those of the program on disk, which
    may have been replaced since. `ours` is false for one that others start and stop. `reloaded_at` is the last reload by us; `draining` counts workers that finish old connections.
    """

    capabilities: Capabilities | None = None
    missing: str | None = None
    ours: bool = True
    running: int | None = None
    pid: int | None = None
    version: tuple[int, int, int] | None = None
    current: Generation | None = None
    generations: tuple[Generation, ...] = ()
    reloaded_at: dt.datetime | None = None
    draining: int = 0

    @property
    def serving(self) -> bool:
        """
        True when it shows a CA our tokens: every tree that was once proven does, also while the next one is being loaded.
        """
        return self.running is not None and self.last_proven is not None

    @property
    def last_proven(self) -> Generation | None:
        """
        The newest tree that nginx was seen to serve.
        """
        return max((g for g in self.generations if g.proven), key=lambda g: g.number, default=None)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """
    The visitors of an nginx, as it counts them: those who are there (`active`, of whom `waiting` keep a connection for later), and since it
    runs the connections that it accepted and `handled`, and the requests.
    """

    active: int
    accepted: int
    handled: int
    requests: int
    reading: int
    writing: int
    waiting: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """
    What people asked for since the last pass: certificates to renew now, to revoke or to delete, a reload, or one pass to the end (`once`),
    in which a reload waits for every issuance. `again` are certificates that were to be renewed, and for which somebody was asked: if he
    failed, another CA may be asked.
    """

    renew: frozenset[str] = frozenset()
    again: frozenset[str] = frozenset()
    forget: frozenset[str] = frozenset()
    revoke: Mapping[str, RevocationReason] = dataclasses.field(default_factory=dict)
    reload: bool = False
    once: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """
    Why the clock is not believed, and when to look again.
    """

    reason: str
    until: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """
    Everything at one moment. `versions` lists the intact versions on disk for each certificate, `damaged` those held ones whose
    newest version is not intact, `closed` those of them that cannot be replaced before a person did something. `leftovers` are the
    names of TXT records of ours that nobody uses any more, by the NAME and kind of their provider, `leftovers_due` is when there may be
    more; `addresses_looked_at` is when dynamic DNS
    last looked, None when it did not yet. `renewals` are what CAs suggested about renewals, by NAME, `revoked` the
    fingerprints of certificates that were revoked. `offers` are certificates of other tools that may be adopted, `brought` what lies in the
    user's files, both by the NAME of the spec; `exports` are the copies that are whole, by the mark of the export.
    """

    held: Mapping[str, Held] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    damaged: Mapping[str, str] = dataclasses.field(default_factory=dict)
    closed: frozenset[str] = frozenset()
    attempts: Mapping[str, Attempt] = dataclasses.field(default_factory=dict)
    in_flight: Mapping[str, InFlight] = dataclasses.field(default_factory=dict)
    jobs: Mapping[str, Job] = dataclasses.field(default_factory=dict)
    nginx: Nginx = dataclasses.field(default_factory=Nginx)
    quarantines: Mapping[str, Quarantine] = dataclasses.field(default_factory=dict)
    leftovers: Mapping[tuple[str, str], tuple[str, ...]] = dataclasses.field(default_factory=dict)
    leftovers_due: dt.datetime | None = None
    addresses_looked_at: dt.datetime | None = None
    renewals: Mapping[str, Choice] = dataclasses.field(default_factory=dict)
    revoked: Mapping[str, str] = dataclasses.field(default_factory=dict)
    offers: Mapping[str, Offer] = dataclasses.field(default_factory=dict)
    brought: Mapping[str, InFiles] = dataclasses.field(default_factory=dict)
    exports: Mapping[str, Exported] = dataclasses.field(default_factory=dict)
    requests: Requests = dataclasses.field(default_factory=Requests)
    doubt: Doubt | None = None

    def is_revoked(self, held: Held) -> bool:
        """
        Tell whether a certificate was revoked: it is served until another is there, and otherwise as good as none.
        """
        return self.revoked.get(held.name) == held.fingerprint
