"""
The least that certificates can cost: the signed requests of RFC 8555 and nothing else. Nothing of Gatelodge's is in here.

One name a certificate, fifty at once, http-01 answered from memory by this process. Nothing is stored, no nginx is told, no
crash is survived. Certificates are counted, not kept.

    python -m benchmarks.bare DIRECTORY-URL ROOT.pem HTTP-PORT COUNT
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from typing import Any

import aiohttp
from acme.jws import JWS
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.b64 import b64decode, b64encode
from josepy.jwa import ES256
from josepy.jwk import JWKEC

AT_ONCE = 50

#: Between two looks, in seconds.
_PAUSE = 0.05


class Client:
    """
    An ACME account, and the answers to its challenges.
    """

    def __init__(self, session: aiohttp.ClientSession, directory: dict[str, str]) -> None:
        self._session = session
        self._directory = directory
        self._key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        self._thumbprint = b64encode(self._key.thumbprint()).decode()
        self._kid: str | None = None
        self._nonces: list[bytes] = []
        self.answers: dict[str, str] = {}

    async def register(self) -> None:
        """
        Make the account.
        """
        answer, _ = await self._post(self._directory["newAccount"], {"termsOfServiceAgreed": True})
        self._kid = answer.headers["Location"]

    async def certificate(self, name: str) -> bytes:
        """
        Get a certificate for a name with a new key.
        """
        answer, order = await self._post(self._directory["newOrder"], {"identifiers": [{"type": "dns", "value": name}]})
        url = answer.headers["Location"]
        for authorization in order["authorizations"]:
            await self._prove(authorization)
        order = await self._until(url, "ready")
        csr = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        )
        encoded = b64encode(csr.public_bytes(serialization.Encoding.DER)).decode()
        _, order = await self._post(order["finalize"], {"csr": encoded})
        if order["status"] != "valid":
            await asyncio.sleep(_PAUSE)
            order = await self._until(url, "valid")
        _, chain = await self._post(order["certificate"], None)
        return bytes(chain)

    async def _prove(self, url: str) -> None:
        _, authorization = await self._post(url, None)
        (challenge,) = (each for each in authorization["challenges"] if each["type"] == "http-01")
        self.answers[challenge["token"]] = f"{challenge['token']}.{self._thumbprint}"
        await self._post(challenge["url"], {})
        await asyncio.sleep(_PAUSE)
        await self._until(url, "valid")
        del self.answers[challenge["token"]]

    async def _until(self, url: str, status: str) -> dict[str, Any]:
        while True:
            _, found = await self._post(url, None)
            if found["status"] == status:
                return dict(found)
            if found["status"] == "invalid":
                raise RuntimeError(f"{url} is invalid: {found}")
            await asyncio.sleep(_PAUSE)

    async def _post(self, url: str, payload: dict[str, Any] | None) -> tuple[aiohttp.ClientResponse, Any]:
        body = b"" if payload is None else json.dumps(payload).encode()
        while True:
            nonce = self._nonces.pop() if self._nonces else await self._nonce()
            signed = JWS.sign(body, key=self._key, alg=ES256, nonce=nonce, url=url, kid=self._kid).json_dumps()
            headers = {"Content-Type": "application/jose+json"}
            async with self._session.post(url, data=signed.encode(), headers=headers) as answer:
                content = await answer.read()
            self._nonces.append(b64decode(answer.headers["Replay-Nonce"]))
            document: Any = json.loads(content) if answer.content_type.endswith("json") else content
            if answer.ok:
                return answer, document
            if not document["type"].endswith(":badNonce"):
                raise RuntimeError(f"{url}: {document}")

    async def _nonce(self) -> bytes:
        async with self._session.head(self._directory["newNonce"]) as answer:
            return b64decode(answer.headers["Replay-Nonce"])


async def get(directory: str, root: str, port: int, count: int) -> int:
    """
    Get so many certificates, and return how many came.
    """
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=root))
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.get(directory) as answer:
            client = Client(session, await answer.json())

        async def respond(request: web.BaseRequest) -> web.Response:
            return web.Response(text=client.answers[request.path.rpartition("/")[2]])

        runner = web.ServerRunner(web.Server(respond))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await client.register()
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> bool:
            async with slots:
                return (await client.certificate(f"site-{number}.example.test")).startswith(b"-----BEGIN CERTIFICATE")

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(number)) for number in range(count)]
        await runner.cleanup()
    return sum(task.result() for task in tasks)


if __name__ == "__main__":
    _, _directory, _root, _port, _count = sys.argv
    came = asyncio.run(get(_directory, _root, int(_port), int(_count)))
    sys.exit(f"{came} of {_count} certificates came" if came != int(_count) else 0)
