"""
Copies of certificates for other programs.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatelodge.model.secret import SecretRef

#: The four files in the order in which they take the places of the old ones: the two that must fit one another last, and together.
PEM_FILES = ("chain.pem", "cert.pem", "fullchain.pem", "privkey.pem")


class ExportFormat(enum.StrEnum):
    """
    What is written: four PEM files as in the state directory; one PEM file with key and chain; or one PKCS#12 file.
    """

    PEM = "pem"
    BUNDLE = "pem-bundle"
    PKCS12 = "pkcs12"


class Encryption(enum.StrEnum):
    """
    How a PKCS#12 file is encrypted: AES-256 (RFC 8018 PBES2), or triple DES (RFC 7292 appendix C) for programs that read nothing newer.
    """

    AES = "aes"
    TRIPLE_DES = "3des"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """
    Where a certificate is copied to, in which form and whose files these are, and the program that is run once they are all there.

    `file` is the one file's name, empty with `ExportFormat.PEM`, whose four have names of their own. `password` is for PKCS#12 alone.
    """

    directory: str
    format: ExportFormat = ExportFormat.PEM
    file: str = ""
    owner: str | None = None
    group: str | None = None
    mode: int = 0o640
    command: tuple[str, ...] = ()
    timeout: dt.timedelta = dt.timedelta(minutes=1)
    password: SecretRef | None = None
    encryption: Encryption = Encryption.AES

    @property
    def place(self) -> str:
        """
        The folder or file that is written. There is one export to a place.
        """
        return f"{self.directory}/{self.file}" if self.file else self.directory

    @property
    def files(self) -> tuple[str, ...]:
        """
        The names of the files that are written.
        """
        return (self.file,) if self.file else PEM_FILES

    @property
    def mark(self) -> str:
        """
        A short hash of the place, by which an export is known.
        """
        return _hashed(self.place)

    @property
    def digest(self) -> str:
        """
        A short hash of everything that the files depend on beside the certificate. A secret counts by where it is found.
        """
        password = repr(self.password and (self.password.file, self.password.env, self.password.literal is not None))
        return _hashed(
            self.place, self.format, self.owner, self.group, self.mode, self.command, password, self.encryption
        )


def _hashed(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
