"""
Makes private keys from the machine's randomness. Elliptic keys take a hundred microseconds and are made at once; RSA takes up
to a second and is made beside the event loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gatelodge.model import KeyKind, Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_CURVES: dict[KeyKind, type[ec.EllipticCurve]] = {KeyKind.ECDSA_P256: ec.SECP256R1, KeyKind.ECDSA_P384: ec.SECP384R1}
_BITS = {KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072, KeyKind.RSA_4096: 4096}

#: The exponent that FIPS 186-5 and everybody's practice ask for.
_EXPONENT = 65537


class NewKeys:
    """
    Implements `ports.Keys`.
    """

    async def new(self, kind: KeyKind) -> Secret:
        """
        Return a new private key, as `ports.Keys` says.
        """
        curve = _CURVES.get(kind)
        if curve is not None:
            return _pem(ec.generate_private_key(curve()))
        return await asyncio.to_thread(_new_rsa, _BITS[kind])


def _new_rsa(bits: int) -> Secret:
    return _pem(rsa.generate_private_key(_EXPONENT, bits))


def _pem(key: PrivateKeyTypes) -> Secret:
    return Secret(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    )
