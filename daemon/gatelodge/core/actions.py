"""
The steps from what is to what must be, as values: what `plan` yields, `act` carries out and `gatelodge plan` prints.

The tables below say for each step which others it excludes (`key`), what it works on (`digest`), under which name its failures
are counted (`tries`), and how it is told to a person (`describe`).
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
from typing import TYPE_CHECKING, TypeAlias, assert_never

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.core.observed import Held
    from gatelodge.core.tree import Rendered, VersionRef
    from gatelodge.model import CertificateSpec, DdnsSettings, Export, RevocationReason


class Reason(enum.StrEnum):
    """
    Why a certificate is obtained.
    """

    MISSING = "none is held yet"
    ADOPTED = "another tool's is served meanwhile"
    CHANGED = "the configuration asks for another"
    DAMAGED = "its files are damaged"
    DUE = "it is due for renewal"
    SUGGESTED = "its CA suggests to renew it now"
    REQUESTED = "somebody asked for it"
    UNFINISHED = "an order for it was begun and not finished"
    REPLACED = "its files hold another"
    FAILED = "it failed before"
    REVOKED = "it was revoked"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MakePlaceholder:
    """
    Hold the self-signed certificate that is shown for whatever has none yet, so that nothing waits for issuance.
    """

    spec: CertificateSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """
    Hold another tool's certificate, found in a folder, until ours is there. `fingerprint` is its leaf's.
    """

    spec: CertificateSpec
    directory: str
    fingerprint: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """
    Hold the certificate that the user brings in files. `mark` is that of what was seen in them.
    """

    spec: CertificateSpec
    mark: str
    reason: Reason


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Obtain:
    """
    Get a certificate from the spec's first issuer and store it. It is `partial` when the spec lacks names that are wanted.
    """

    spec: CertificateSpec
    reason: Reason
    partial: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AskRenewals:
    """
    Ask a CA when certificates that it issued should be renewed (RFC 9773).
    """

    issuer: str
    held: tuple[Held, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExportCertificate:
    """
    Copy a certificate to where another program wants it.
    """

    held: Held
    export: Export


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """
    Have a certificate revoked by its CA. It is served until another is there.
    """

    held: Held
    reason: RevocationReason


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Abandon:
    """
    Give up an order for a certificate that nobody asks for any more.
    """

    certificate: str
    issuer: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """
    Stop the running job of a key: its work is no longer asked for.
    """

    job: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RollBack:
    """
    Go back to the last proven tree: the current one, of this digest, was never seen to be served.
    """

    tree: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StartNginx:
    """
    Start nginx on the current, proven tree, of this digest.
    """

    tree: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ApplyTree:
    """
    Make nginx serve a tree.
    """

    rendered: Rendered
    why: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """
    Delete versions and trees that nothing names any more.
    """

    versions: tuple[VersionRef, ...]
    generations: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeleteCertificate:
    """
    Delete a certificate that nobody asks for any more.
    """

    certificate: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecords:
    """
    Take away TXT records of ours that nobody uses any more, through the provider `[dns.NAME]`.
    """

    provider: str
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeepAddresses:
    """
    Look at the machine's public addresses, and bring them into the DNS where they changed.
    """

    settings: DdnsSettings


Action: TypeAlias = (
    MakePlaceholder
    | Adopt
    | Take
    | Obtain
    | AskRenewals
    | ExportCertificate
    | Revoke
    | Abandon
    | Cancel
    | RollBack
    | StartNginx
    | ApplyTree
    | Prune
    | DeleteCertificate
    | SweepRecords
    | KeepAddresses
)

#: Exclude one another: nginx has one job at a time.
NGINX = "nginx"

#: Under which failures to start nginx are counted, and its ends by itself.
NGINX_START = f"{NGINX}/start"

#: The one job that keeps addresses.
ADDRESSES = "addresses"

#: What the digest of a job begins with that takes a certificate from files.
TAKING = "files:"

#: The digest of a job that revokes: it is never out of date.
REVOKING = "revoke"

#: The digest of a job that abandons an order: it differs from every spec's.
ABANDONING = "abandon"


def certificate_key(name: str) -> str:
    """
    Return the key of jobs that get a certificate NAME from where it comes from.
    """
    return f"certificate:{name}"


def export_key(export: Export) -> str:
    """
    Return the key of the job that makes a copy of a certificate.
    """
    return f"export:{export.mark}"


def revoking(name: str) -> str:
    """
    Return the name under which failures to revoke a certificate NAME are counted, apart from those to get one.
    """
    return f"revoke:{name}"


def key(action: Action) -> str:
    """
    Return what an action excludes others by: at most one job with a key runs.
    """
    match action:
        case MakePlaceholder(spec=spec):
            return f"placeholder:{spec.name}"
        case Adopt(spec=spec):
            return f"adopt:{spec.name}"
        case Obtain(spec=spec) | Take(spec=spec):
            return certificate_key(spec.name)
        case AskRenewals(issuer=issuer):
            return f"renewals:{issuer}"
        case ExportCertificate(export=export):
            return export_key(export)
        case Revoke(held=held):
            return certificate_key(held.name)
        case Abandon(certificate=name):
            return certificate_key(name)
        case Cancel(job=job):
            return job
        case RollBack() | StartNginx() | ApplyTree():
            return NGINX
        case Prune():
            return "prune"
        case DeleteCertificate(certificate=name):
            return f"delete:{name}"
        case SweepRecords(provider=provider):
            return f"sweep:{provider}"
        case KeepAddresses():
            return ADDRESSES
        case _:
            assert_never(action)


def digest(action: Action) -> str:
    """
    Return what an action works on: a running job with another digest is out of date.
    """
    match action:
        case MakePlaceholder(spec=spec) | Obtain(spec=spec):
            return spec.digest
        case Adopt(fingerprint=fingerprint):
            return fingerprint
        case Take(spec=spec, mark=mark):
            return f"{TAKING}{spec.digest}:{mark}"
        case RollBack(tree=tree) | StartNginx(tree=tree):
            return tree
        case ApplyTree(rendered=rendered):
            return rendered.digest
        case ExportCertificate(held=held, export=export):
            return f"{held.content}:{export.digest}"
        case Revoke():
            return REVOKING
        case Abandon():
            return ABANDONING
        case KeepAddresses(settings=settings):
            return hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
        case AskRenewals() | SweepRecords() | Cancel() | Prune() | DeleteCertificate():
            return ""
        case _:
            assert_never(action)


def tries(action: Action) -> str:
    """
    Return the name under which an action's failures are counted. It begins with the key, but for a revocation's.
    """
    match action:
        case Obtain(spec=spec, partial=partial):
            return f"{key(action)}/{spec.issuer}{'/part' if partial else ''}"
        case Revoke(held=held):
            return revoking(held.name)
        case RollBack():
            return f"{NGINX}/roll-back"
        case StartNginx():
            return NGINX_START
        case ApplyTree():
            return f"{NGINX}/apply"
        case _:
            return key(action)


#: What actions do that are always the same.
_PLAIN: Mapping[type, str] = {
    RollBack: "go back to the last proven nginx configuration",
    StartNginx: "start nginx with its last proven configuration",
}


def describe(action: Action) -> str:
    """
    Tell a person what an action does and why.
    """
    match action:
        case MakePlaceholder():
            return "make the placeholder, a certificate for whatever has none yet"
        case Adopt(spec=spec, directory=directory):
            return f"adopt the certificate in {directory} for {spec.name}"
        case Take(spec=spec, reason=reason):
            return f"take the certificate for {spec.name} ({', '.join(spec.names)}) from its files: {reason}"
        case Obtain(spec=spec, reason=reason):
            return f"get a certificate for {spec.name} ({', '.join(spec.names)}) from {spec.issuer}: {reason}"
        case AskRenewals(issuer=issuer, held=found):
            return f"ask {issuer} when to renew {', '.join(each.name for each in found)}"
        case ExportCertificate(held=held, export=export):
            then = f", then run {export.command[0]}" if export.command else ""
            return f"copy the certificate {held.name} to {export.place} as {export.format}{then}"
        case Revoke(held=held, reason=reason):
            return f"have {held.issuer} revoke {held.name} (serial {held.serial}): {reason}"
        case Abandon(certificate=name):
            return f"give up the order for {name}, which is no longer asked for"
        case Cancel(job=job):
            return f"stop {job}, which is no longer asked for"
        case RollBack() | StartNginx():
            return _PLAIN[type(action)]
        case ApplyTree(why=why):
            return f"write, test and load an nginx configuration: {why}"
        case Prune(versions=versions, generations=generations):
            return f"delete old files: {len(versions)} certificate versions, {len(generations)} nginx configurations"
        case DeleteCertificate(certificate=name):
            return f"delete {name}, which nobody asks for"
        case SweepRecords(provider=provider, names=names):
            return f"take away TXT records that were left at {provider}: {', '.join(names)}"
        case KeepAddresses(settings=settings):
            return f"look at the public address of {', '.join(settings.hosts)}"
        case _:
            assert_never(action)
