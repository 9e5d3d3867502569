"""
A copy of a certificate for another program, as people write it.
"""

# ruff: noqa: RUF009 - `field` makes dataclass fields; no value is shared

import dataclasses

from gatelodge.config.document.fields import field
from gatelodge.config.values import leaves


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExportTable:
    """
    A copy of a certificate for another program.
    """

    directory: leaves.File | None = field("The folder in which it is put.")
    format: leaves.ExportKind | None = field(
        "pem (default): fullchain.pem, chain.pem, cert.pem and privkey.pem. pem-bundle: one file, key and chain. pkcs12: one file."
    )
    file: leaves.FileName | None = field("What the one file is called. Default: the certificate's NAME, .pem or .p12.")
    owner: leaves.Owner | None = field("Whose the files are. Default: the daemon's user's.")
    group: leaves.Owner | None = field("The group that the files belong to. Default: the daemon's.")
    mode: leaves.FileMode | None = field('Who may read the files. Default: "0640" with a group, else "0600".')
    command: leaves.Command | None = field("A program that is run, without a shell, once all files are there.")
    timeout: leaves.Patience | None = field("How long it may take. Default: 1m.")
    password: leaves.Hidden | None = field("Of a PKCS#12 file: in a file, in the environment, or here. Default: none.")
    encryption: leaves.EncryptionKind | None = field(
        "Of a PKCS#12 file: aes (default), or 3des for programs that read nothing newer."
    )
