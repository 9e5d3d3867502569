"""
Decides what is in the files of a copy: PEM as in the state directory, one PEM file, or PKCS#12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from gatelodge.model import Encryption, ExportFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.model import Export, Secret
    from gatelodge.ports import Issued

#: How a PKCS#12 file is encrypted, with the digest of its integrity check. AES is what OpenSSL 1.1 and .NET Core 3 read and newer ones
#: write; triple DES with SHA-1 is what everything reads, Windows before 10 version 1709 and Java before 8u301 nothing else
#: (https://learn.microsoft.com/windows/win32/api/wincrypt/nf-wincrypt-pfxexportcertstoreex; JDK-8153005).
_ENCRYPTIONS: Mapping[Encryption, tuple[pkcs12.PBES, type[hashes.HashAlgorithm]]] = {
    Encryption.AES: (pkcs12.PBES.PBESv2SHA256AndAES256CBC, hashes.SHA256),
    Encryption.TRIPLE_DES: (pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC, hashes.SHA1),
}

#: Rounds by which a password is made a key. OpenSSL's own default since 1.1 is 2048; the file lies beside its key's reader.
_ROUNDS = 20_000


def contents(name: str, issued: Issued, export: Export, password: Secret | None) -> Mapping[str, bytes]:
    """
    Return the files of a copy by their names, in the order in which they are to be put in place.

    Args:
        name: what the certificate is called, which PKCS#12 files show.
    """
    if export.format is ExportFormat.PKCS12:
        return {export.file: _pkcs12(name, issued, export, password)}
    key = _ended(issued.private_key.reveal())
    if export.format is ExportFormat.BUNDLE:
        return {export.file: (key + _ended(issued.chain)).encode()}
    leaf, *rest = [
        certificate.public_bytes(serialization.Encoding.PEM)
        for certificate in x509.load_pem_x509_certificates(issued.chain.encode())
    ]
    texts = (b"".join(rest), leaf, _ended(issued.chain).encode(), key.encode())
    return dict(zip(export.files, texts, strict=True))


def _pkcs12(name: str, issued: Issued, export: Export, password: Secret | None) -> bytes:
    leaf, *rest = x509.load_pem_x509_certificates(issued.chain.encode())
    key = serialization.load_pem_private_key(issued.private_key.reveal().encode(), None)
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        cipher, digest = _ENCRYPTIONS[export.encryption]
        encryption = (
            serialization.PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(_ROUNDS)
            .key_cert_algorithm(cipher)
            .hmac_hash(digest())
            .build(password.reveal().encode())
        )
    return pkcs12.serialize_key_and_certificates(name.encode(), key, leaf, rest, encryption)  # type: ignore[arg-type] # ours are RSA or EC


def _ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
