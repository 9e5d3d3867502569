"""
Certificates that the user brings, in files that he keeps: implements `ports.Brought`.

They are read and never written. What is of no use is refused with what to do about it, and what he served before goes on: nothing here
ends anything. An expired certificate is a fact, and it is for others to tell.
"""

from __future__ import annotations

import dataclasses
import errno
import grp
import hashlib
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AuthorityInformationAccessOID

from gatelodge.core.observed import InFiles
from gatelodge.core.renewal import alarm
from gatelodge.durable import in_thread
from gatelodge.errors import IssuanceError, Problem
from gatelodge.issuers import pem
from gatelodge.model import FileIssuer, covers
from gatelodge.ports import Issued

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from gatelodge.model import CertificateSpec, Name
    from gatelodge.ports import Clock

#: Whoever copies two files needs a moment: a change counts once it has stood still for so long. Less than `core.brought.STILL`.
_STILL_SECONDS = 1.5

#: What OpenSSL takes (SECLEVEL 2, SSL_CTX_set_security_level(3)), and browsers.
_LEAST_BITS = 2048

#: How two files look: inode, mtime, ctime (which tells a changed mode), size; what reading says when one cannot be seen.
_Look: TypeAlias = tuple[object, ...]


class Unfit(Exception):
    """
    Why files are of no use, and what to do about it. `closed` is set when that is so for this user alone.
    """

    def __init__(self, problem: str, remedy: str, *, closed: bool = False) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy
        self.closed = closed

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """
    A chain, leaf first, and its key: they fit each other.
    """

    chain: tuple[x509.Certificate, ...]
    names: tuple[Name, ...]
    key: pem.PrivateKey

    @property
    def text(self) -> str:
        """
        The chain as it is stored: nothing that stands between the certificates is kept.
        """
        return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in self.chain)


class BroughtFiles:
    """
    Implements `ports.Brought`. Files are read again when they look different, and have stood still since.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[FileIssuer, tuple[_Look, InFiles]] = {}
        self._changing: dict[FileIssuer, tuple[_Look, float]] = {}

    async def look(self, wanted: Mapping[str, FileIssuer]) -> Mapping[str, InFiles]:
        """
        Return what lies in files, as `ports.Brought` says.
        """
        if not wanted:
            return {}
        now = self._clock.monotonic()
        return await in_thread(lambda: {name: self._look(files, now) for name, files in wanted.items()})

    async def take(self, spec: CertificateSpec) -> tuple[CertificateSpec, Issued]:
        """
        Return the certificate in a spec's files, as `ports.Brought` says.
        """
        return await in_thread(lambda: _take(spec))

    def _look(self, files: FileIssuer, now: float) -> InFiles:
        seen = (_seen(files.certificate), _seen(files.key))
        known = self._known.get(files)
        if known is not None and known[0] != seen:
            before, since = self._changing.get(files, (None, now))
            if before != seen:
                self._changing[files] = seen, now
            if before != seen or now - since < _STILL_SECONDS:
                return dataclasses.replace(known[1], changing=True)
        if known is None or known[0] != seen:
            known = self._known[files] = seen, _in_files(files)
        self._changing.pop(files, None)
        return known[1]


def _seen(file: str) -> _Look:
    try:
        found = Path(file).stat()
    except OSError as error:
        return (error.errno,)
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _in_files(files: FileIssuer) -> InFiles:
    mark = hashlib.sha256()
    try:
        contents = (_read(files.certificate), _read(files.key))
        for content in contents:
            mark.update(b"%d:%s" % (len(content), content))
        chain = hashlib.sha256(_fit(files, *contents).text.encode()).hexdigest()
    except Unfit as unfit:
        mark.update(str(unfit).encode())
        chain = None
    return InFiles(mark=mark.hexdigest()[:16], chain=chain)


def _take(spec: CertificateSpec) -> tuple[CertificateSpec, Issued]:
    if not isinstance(spec.issuer, FileIssuer):
        raise TypeError("only what the user brings is taken from files")
    try:
        pair = load(spec.issuer)
        check_names(spec.issuer, pair, spec.names)
    except Unfit as unfit:
        raise IssuanceError(Problem(type="files", detail=f"{spec.name}: {unfit}")) from unfit
    stored = dataclasses.replace(spec, names=pair.names, key=pem.kind(pair.key) or spec.key)
    return stored, Issued(chain=pair.text, private_key=pem.written(pair.key))


def load(files: FileIssuer) -> Pair:
    """
    Read a certificate and its key.

    Raises:
        Unfit: they are of no use to any server.
    """
    return _fit(files, _read(files.certificate), _read(files.key))


def _fit(files: FileIssuer, certificate: bytes, private_key: bytes) -> Pair:
    chain, key = _chain(files.certificate, certificate), _key(files.key, private_key)
    if chain[0].public_key() != key.public_key():
        _mismatched(files, chain, key)
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _LEAST_BITS:
        raise Unfit(
            f"the RSA key in {files.key} has {key.key_size} bits, which OpenSSL and browsers refuse",
            f"make one of {_LEAST_BITS}, or an ECDSA key, and have the certificate made anew",
        )
    names = pem.names(chain[0])
    if not names:
        raise Unfit(
            f"the certificate in {files.certificate} names no host where browsers look, in its subjectAltName",
            "have it made with one: openssl req … -addext subjectAltName=DNS:HOST",
        )
    return Pair(chain=tuple(chain), names=names, key=key)


def check_names(files: FileIssuer, pair: Pair, wanted: tuple[Name, ...]) -> None:
    """
    Check that a certificate is for every name that is wanted.

    Raises:
        Unfit: it is not; the names are told.
    """
    bare = [name for name in wanted if not any(covers(mine, name) for mine in pair.names)]
    if bare:
        raise Unfit(
            f"the certificate in {files.certificate} is for {', '.join(pair.names)}, and not for {', '.join(bare)}",
            "bring one that is, or make another site of these hosts",
        )


def find_troubles(files: FileIssuer, pair: Pair, now: dt.datetime) -> Iterator[Unfit]:
    """
    Yield what visitors will not like of a certificate that can be served.
    """
    leaf = pair.chain[0]
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if alarm(not_before=begins, not_after=ends, now=now, brought=True):
        word = "ended" if ends <= now else "ends"
        yield Unfit(
            f"the certificate in {files.certificate} {word} on {ends:%Y-%m-%d}", "bring the one that follows it"
        )
    if begins > now:
        yield Unfit(
            f"the certificate in {files.certificate} begins on {begins:%Y-%m-%d}", "bring the one that precedes it"
        )
    if len(pair.chain) == 1 and (signer := _signer(leaf)) is not None:
        yield Unfit(
            f"{files.certificate} holds the certificate alone, and some visitors will not find who signed it",
            f"append what lies at {signer}, as PEM",
        )


def _signer(leaf: x509.Certificate) -> str | None:
    """
    Return where the certificate of a public CA says that its signer's lies (RFC 5280 §4.2.2.1).
    """
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    places = (each.access_location for each in access if each.access_method == AuthorityInformationAccessOID.CA_ISSUERS)
    return next((str(place.value) for place in places if isinstance(place, x509.UniformResourceIdentifier)), None)


def _chain(file: str, content: bytes) -> list[x509.Certificate]:
    try:
        return pem.certificates(content)
    except ValueError:
        pass
    for sign, what, remedy in (
        (b"-----BEGIN CERTIFICATE REQUEST", "a request, no certificate", "name the file that the CA made of it"),
        (b"-----BEGIN PKCS7", "PKCS#7", f"openssl pkcs7 -print_certs -in {file} -out NEW.pem"),
        (b"PRIVATE KEY-----", "a private key", "name the certificate here; are the two files exchanged?"),
        (b"-----BEGIN CERTIFICATE", "a certificate that cannot be read", "have it sent anew; is a part of it missing?"),
    ):
        if sign in content:
            raise Unfit(f"{file} holds {what}", remedy)
    if content[:1] == b"\x30":  # ASN.1: a sequence (X.690 §8.9)
        if content[4:7] == b"\x02\x01\x03":  # PFX begins with its version, 3 (RFC 7292 §4)
            raise Unfit(f"{file} holds PKCS#12, not PEM", f"openssl pkcs12 -nodes -in {file} -out NEW.pem")
        raise Unfit(f"{file} holds DER, not PEM", f"openssl x509 -inform der -in {file} -out NEW.pem")
    raise Unfit(f"{file} holds no certificate", "name a PEM file: -----BEGIN CERTIFICATE-----")


def _key(file: str, content: bytes) -> pem.PrivateKey:
    try:
        return pem.private_key(content)
    except pem.Encrypted:
        raise Unfit(
            f"the key in {file} is encrypted, and nobody types its password when the machine starts",
            f"openssl pkey -in {file} -out NEW.key, and name that",
        ) from None
    except pem.Unusual:
        raise Unfit(
            f"the key in {file} is of a kind that servers do not use",
            "make one of ECDSA or RSA, and a certificate for it",
        ) from None
    except ValueError:
        pass
    if b"PRIVATE KEY-----" in content:
        raise Unfit(f"the private key in {file} cannot be read", "is a part of it missing? restore it")
    if b"-----BEGIN CERTIFICATE" in content:
        raise Unfit(f"{file} holds a certificate", "name the private key here; are the two files exchanged?")
    if content[:1] == b"\x30":
        raise Unfit(f"{file} holds DER, not PEM", f"openssl pkey -inform der -in {file} -out NEW.key")
    raise Unfit(f"{file} holds no private key", "name a PEM file: -----BEGIN PRIVATE KEY-----")


def _mismatched(files: FileIssuer, chain: list[x509.Certificate], key: pem.PrivateKey) -> NoReturn:
    place = next((at for at, each in enumerate(chain, start=1) if each.public_key() == key.public_key()), None)
    if place is not None:
        raise Unfit(
            f"{files.key} is the key of certificate number {place} in {files.certificate}, and servers show the first one",
            "put that first, and those that sign it after it",
        )
    raise Unfit(
        f"{files.key} is not the key of the certificate in {files.certificate}", "bring the two that belong together"
    )


def _read(file: str) -> bytes:
    try:
        return pem.read(Path(file))
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM}:
            why = "is not there" if error.errno == errno.ENOENT else f"cannot be read: {error.strerror}"
            raise Unfit(f"{file} {why}", "put it there, or name another") from error
        user, group = _who()
        folders = [*reversed(Path(file).parents), *reversed(Path(os.path.realpath(file)).parents)]
        closed = next((each for each in folders if not os.access(each, os.X_OK)), None)
        if closed is not None:
            raise Unfit(
                f"{file} cannot be read: {user}, as whom this runs, may not enter {closed}",
                f"chgrp {group} {closed} && chmod g+x {closed}",
                closed=True,
            ) from error
        raise Unfit(
            f"{file} cannot be read by {user}, as whom this runs",
            f"chgrp {group} {file} && chmod g+r {file}",
            closed=True,
        ) from error


def _who() -> tuple[str, str]:
    """
    Return the names of the user and the group as whom this process reads files; the numbers of those that have none.
    """
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    try:
        group = grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        group = str(os.getegid())
    return user, group
