"""
The nginx of the simulated world: it reads the files that a tree names, outlives the daemon, and may be unkind.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.support.nginx_fake import FakeNginx, _Tree

from gatelodge.core.tree import Generation
from gatelodge.errors import HttpUnreachable, NginxRefused, NginxUnproven
from gatelodge.model import INTERNAL_HOST
from gatelodge.ports import HttpResponse

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping

    from tests.simulation.world import World

    from gatelodge.core.observed import Nginx as NginxObserved
    from gatelodge.core.tree import Rendered, VersionRef

_FILES = re.compile(r'^\s*(ssl_certificate|ssl_certificate_key)\s+"?([^";]+)"?;', re.MULTILINE)

#: How long the daemon waits for an `nginx -t`, or for a tree to be seen.
_PATIENCE = 30.0

TOKENS = Path(".well-known") / "acme-challenge"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """
    A certificate as nginx read it.
    """

    issuer: str
    not_before: dt.datetime
    not_after: dt.datetime
    names: frozenset[str]


class Nginx(FakeNginx):
    """
    Implements `ports.Nginx`. `shows` is what it holds in memory, by NAME, `stand_ins` the sites that show the placeholder; `wrong` what a tree
    named that was not there, or did not fit.
    """

    def __init__(self, world: World) -> None:
        super().__init__(clock=world.clock)
        self.shows: dict[str, Loaded] = {}
        self.stand_ins: frozenset[str] = frozenset()
        self.wrong: list[str] = []
        self.loads = 0
        self._world = world
        self._sound: set[tuple[str, str]] = set()
        self._sound_at = -1
        self._read_before: dict[VersionRef, Loaded] = {}

    @property
    def proven(self) -> bool:
        """
        Tell whether what it runs was seen to be served.
        """
        return self._running is not None and self._trees[self._running].generation.proven

    def die(self) -> None:
        """
        End, as kill -9 and a loss of power do.
        """
        if self._running is not None:
            self._world.story.tell("nginx", "dies")
            self._end()

    def token(self, token: str) -> bytes | None:
        """
        Return what is served as an http-01 token; None when nothing is.
        """
        if self._running is None or not re.fullmatch(r"[\w-]+", token):
            return None
        try:
            return (self._world.webroot / TOKENS / token).read_bytes()
        except OSError:
            return None

    async def observe(self) -> NginxObserved:
        self._world.present()
        return await super().observe()

    async def apply(self, rendered: Rendered, *, progress: Callable[[str], None] = lambda _: None) -> int:
        progress("writing the files")
        await self._touch("stages a tree")
        self._check_program()
        self._highest += 1
        number = self._highest
        self._look_at_files(rendered, f"tree {number}")
        mishap = await self._touch(f"tests tree {number}")
        guilty = self._guilty(rendered, mishap)
        if guilty:
            raise NginxRefused(f"[emerg] in {', '.join(sorted(guilty))}", guilty)
        if mishap in {"nginx refuses", "hang"} or self._world.weather.lasting["nginx refuses everything"]:
            raise NginxRefused("[emerg] out of something")
        before = self._current
        self._trees[number] = _Tree(rendered, self._generation(number, rendered, proven=False))
        self._current = number
        try:
            await self._touch(f"loads tree {number}")
            self._run(number)
            await self._prove(number)
        except BaseException:
            self._current = before if before in self._trees else None
            del self._trees[number]
            if self._running == number:
                if self._current is None:
                    self._end()
                else:
                    self._run(self._current)
            raise
        self._trees[number] = _Tree(rendered, self._generation(number, rendered, proven=True))
        await self._touch(f"proved tree {number}")
        return number

    def _guilty(self, rendered: Rendered, mishap: str | None) -> frozenset[str]:
        parts = sorted(part for part, text in rendered.parts.items() if "503" not in text)
        if mishap == "nginx refuses a site" and parts:
            return frozenset({self._world.chance.choice(parts)})
        return frozenset(parts[:1] if self._world.weather.lasting["nginx refuses the first site"] else ())

    async def _prove(self, number: int) -> None:
        if await self._touch(f"is looked at, tree {number}") in {"not proven", "hang"}:
            raise NginxUnproven("it does not show the tree")

    async def roll_back(self) -> None:
        await self._touch("goes back")
        await super().roll_back()

    async def start(self) -> None:
        await self._touch("starts")
        if self._world.weather.lasting["nginx refuses everything"]:
            raise NginxRefused("[emerg] out of something")
        await super().start()

    async def prune(self, generations: Iterable[int]) -> None:
        await self._touch("prunes")
        await super().prune(generations)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        """
        Answer on its plain listener. Implements `ports.Http`.
        """
        del method, headers, body
        self._world.disk_times()
        mishap = await self._world.touch("web", "token")
        if mishap == "hang":
            await asyncio.sleep(timeout)
        if mishap in {"not reached", "answer lost", "hang"} or self._running is None:
            raise HttpUnreachable("127.0.0.1:80 cannot be reached")
        found = self.token(url.rsplit("/", 1)[1])
        if found is None:
            return HttpResponse(status=404, headers={}, body=b"not found")
        return HttpResponse(status=200, headers={}, body=found)

    async def _touch(self, what: str) -> str | None:
        mishap = await self._world.touch("nginx", what)
        if mishap == "hang":
            await asyncio.sleep(_PATIENCE)
        if mishap in {"nginx refuses", "nginx refuses a site", "not proven", "hang"}:
            self._world.troubles.mark("machine")
        return mishap

    def _generation(self, number: int, rendered: Rendered, *, proven: bool) -> Generation:
        return Generation(
            number=number,
            digest=rendered.digest,
            proven=proven,
            created_at=self._clock.now(),
            references=rendered.references,
        )

    def _run(self, number: int) -> None:
        self._look_at_files(self._trees[number].rendered, f"tree {number}")
        super()._run(number)
        references = sorted(self._trees[number].rendered.references)
        self.shows = {name: self._read(name, version) for name, version in references}
        sites = self._trees[number].rendered.sites.items()
        self.stand_ins = frozenset(file for file, text in sites if f"/{INTERNAL_HOST}/" in text)
        self.loads += 1
        self._world.story.count("nginx loads")

    def _end(self) -> None:
        super()._end()
        self.shows = {}
        self.stand_ins = frozenset()

    def _read(self, name: str, version: int) -> Loaded:
        path = self._world.disk.state / "certificates" / name / "versions" / str(version) / "fullchain.pem"
        if (name, version) not in self._read_before:
            leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            self._read_before[name, version] = Loaded(
                issuer=leaf.issuer.rfc4514_string(),
                not_before=leaf.not_valid_before_utc,
                not_after=leaf.not_valid_after_utc,
                names=frozenset(names.get_values_for_type(x509.DNSName)),
            )
        return self._read_before[name, version]

    def _look_at_files(self, rendered: Rendered, what: str) -> None:
        """
        Read each pair of files that a tree names, as nginx does.

        Raises:
            NginxRefused: one is not there, or the two do not fit.
        """
        texts = (rendered.entry, rendered.prelude, *rendered.parts.values())
        if self._sound_at != self._world.disk.moves:
            self._sound, self._sound_at = set(), self._world.disk.moves
        # What was read since something last moved on the disk is as it was.
        for certificate, private in sorted(set().union(*map(_pairs, texts)) - self._sound):
            if (why := self._misfit(Path(certificate), Path(private))) is not None:
                self.wrong.append(f"{what}: {why}")
                raise NginxRefused(f"[emerg] {why}")
            self._sound.add((certificate, private))

    def _misfit(self, certificate: Path, private: Path) -> str | None:
        try:
            leaf, key = certificate.read_bytes(), private.read_bytes()
        except OSError as error:
            return f"cannot load {error.filename}: {error.strerror}"
        fits = self._world.fits(leaf, key)
        return None if fits else f"{certificate} and {private} do not fit"


@functools.lru_cache(maxsize=2000)
def _pairs(text: str) -> frozenset[tuple[str, str]]:
    """
    Find the pairs of files, certificate and key, that a text names.
    """
    named = _FILES.findall(text)
    return frozenset(
        (certificate, private) for (_, certificate), (_, private) in zip(named[::2], named[1::2], strict=True)
    )


def public_key(key: bytes) -> bytes:
    """
    Return the public key of a private one, as PEM.
    """
    return (
        serialization.load_pem_private_key(key, None)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def certified_key(chain: bytes) -> bytes:
    """
    Return the public key that a certificate is for, as PEM.
    """
    return (
        x509.load_pem_x509_certificates(chain)[0]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
