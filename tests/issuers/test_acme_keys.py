"""
New private keys.
"""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gatelodge.issuers.keys import NewKeys
from gatelodge.model import KeyKind

SIZES = {KeyKind.ECDSA_P256: 256, KeyKind.ECDSA_P384: 384, KeyKind.RSA_2048: 2048, KeyKind.RSA_3072: 3072}


@pytest.mark.parametrize(("kind", "size"), SIZES.items())
async def test_a_key_is_of_its_kind_and_new(kind: KeyKind, size: int) -> None:
    """
    Unencrypted PKCS#8 of the right kind and size, never the same twice, and blind to repr.
    """
    pems = [(await NewKeys().new(kind)) for _ in range(2)]
    assert pems[0] != pems[1]
    assert "PRIVATE" not in repr(pems)
    text = pems[0].reveal()
    assert text.startswith("-----BEGIN PRIVATE KEY-----")
    key = serialization.load_pem_private_key(text.encode(), None)
    expected = rsa.RSAPrivateKey if kind.startswith("rsa") else ec.EllipticCurvePrivateKey
    assert isinstance(key, expected)
    assert key.key_size == size


async def test_rsa_does_not_hold_up_the_loop() -> None:
    """
    While a large key is being made, other work goes on.
    """
    turns = 0
    async with asyncio.TaskGroup() as group:
        making = group.create_task(NewKeys().new(KeyKind.RSA_4096))
        while not making.done():
            turns += 1
            await asyncio.sleep(0.001)
    assert turns > 3
