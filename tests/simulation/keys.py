"""
Private keys by chance that can be repeated, and no slower than they must be.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gatelodge.model import Secret

if TYPE_CHECKING:
    import random

    from gatelodge.model import KeyKind

#: So many keys are there. None of a daemon's life is long enough to meet one twice in a way that matters.
_KEYS = 4096


class DrawnKeys:
    """
    Implements `ports.Keys`: elliptic keys, drawn.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def new(self, kind: KeyKind) -> Secret:
        assert not kind.is_rsa, "keys of RSA are too slow to make for years"
        return Secret(pem(self._chance.randrange(1, _KEYS)))


@functools.cache
def key(number: int) -> ec.EllipticCurvePrivateKey:
    """
    Return the key of that number.
    """
    return ec.derive_private_key(number * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 1, ec.SECP256R1())


@functools.cache
def pem(number: int) -> str:
    """
    Return the key of that number as PKCS#8 PEM.
    """
    return (
        key(number)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )
