"""
Looks at http-01 as a CA does, after one could not find a token: where the public DNS says that the name is, IPv4 and IPv6 apart, and
what answers there.

It looks from inside: behind a router that does not turn such visits round (hairpin NAT), another page answers, or nobody. So it is
advice, beside what the CA says, and explains something only where that makes no difference.
"""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
from typing import TYPE_CHECKING

from gatelodge.errors import DnsError, HttpDisconnected, HttpUnreachable
from gatelodge.model import is_ip
from gatelodge.ports.advice import Finding
from gatelodge.solvers import webroot_files
from gatelodge.solvers.http01 import host_header
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gatelodge.ports import Challenge, Http, Resolver

#: Seconds for everything: the CA has answered already, and its answer waits.
_PATIENCE = 8.0
_REQUEST_SECONDS = 3.0

#: Addresses of a name that are looked at, of each kind.
_MOST = 3

#: Where a CA asks (RFC 8555 §8.3).
_PORT = 80

_OK, _MOVED, _REFUSED = 200, 300, 400

_KINDS = ("A", "AAAA")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """
    What answers at an address, which is one of an interface of this machine (`here`), or not what the machine's public one is known
    to be (`elsewhere`). `token` is None when that cannot be told from here.
    """

    kind: str
    address: str
    here: bool
    elsewhere: str | None
    token: bool | None
    said: str

    @property
    def public(self) -> bool:
        return ipaddress.ip_address(self.address).is_global

    def __str__(self) -> str:
        whose = (
            " (of this machine)" if self.here else f" (this machine's is {self.elsewhere})" if self.elsewhere else ""
        )
        return f"{self.kind} {self.address}{whose} {self.said}"


class Outside:
    """
    Implements `ports.advice.Adviser` for http-01.
    """

    def __init__(
        self,
        *,
        resolver: Callable[[], Resolver],
        http: Http,
        own: Callable[[], frozenset[str]],
        public: Callable[[], Mapping[str, str]],
        port: int = _PORT,
    ) -> None:
        """
        Args:
            own: gives the addresses of this machine's interfaces.
            public: gives its public addresses by kind of record, where they are known.
        """
        self._resolver = resolver
        self._http = http
        self._own = own
        self._public = public
        self._port = port

    async def look(self, challenge: Challenge) -> Finding | None:
        """
        Say what is seen of a token, as `ports.advice.Adviser` says.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._look(challenge)
        except TimeoutError:
            return None

    async def _look(self, challenge: Challenge) -> Finding | None:
        found, troubles = await self._addresses(challenge.name)
        if not found:
            if troubles:
                return Finding(text="; ".join(troubles), explains=False)
            return Finding(text="the public DNS has no address for it: add an A or AAAA record", explains=True)
        own, public = self._own(), self._public()
        seen = await together(self._see(challenge, kind, address, own, public) for kind, address in found)
        return _finding(seen, troubles)

    async def _addresses(self, name: str) -> tuple[list[tuple[str, str]], list[str]]:
        """
        Return where a name is, by kind of record, and what could not be looked up.
        """
        if is_ip(name):
            return [(_KINDS[":" in name], name)], []
        resolver = self._resolver()

        async def one(kind: str) -> tuple[Sequence[str], str | None]:
            try:
                return (await resolver.addresses(name, kind))[:_MOST], None
            except DnsError as error:
                return (), error.problem.detail

        looked = await together(one(kind) for kind in _KINDS)
        found = [(kind, address) for kind, (held, _) in zip(_KINDS, looked, strict=True) for address in held]
        return found, [trouble for _, trouble in looked if trouble]

    async def _see(
        self, challenge: Challenge, kind: str, address: str, own: frozenset[str], public: Mapping[str, str]
    ) -> _Seen:
        token, said = await self._fetch(challenge, address)
        here, known = address in own, public.get(kind)
        elsewhere = None if here or address == known else known
        return _Seen(kind=kind, address=address, here=here, elsewhere=elsewhere, token=token, said=said)

    async def _fetch(self, challenge: Challenge, address: str) -> tuple[bool | None, str]:
        """
        Fetch a token from an address. Returns whether it is there, and what is.
        """
        host = f"[{address}]" if ":" in address else address
        port = "" if self._port == _PORT else f":{self._port}"
        url = "/".join((f"http://{host}{port}", *webroot_files.FOLDERS, challenge.token))
        try:
            answer = await self._http.request(
                "GET", url, headers={"Host": host_header(challenge.name)}, timeout=_REQUEST_SECONDS
            )
        except HttpUnreachable:
            return False, "cannot be reached from here"
        except HttpDisconnected:
            return False, "does not answer from here"
        if _MOVED <= answer.status < _REFUSED:
            # A CA follows it; what it finds there is not looked at.
            return None, "sends to another place"
        if answer.status == _OK and answer.body.rstrip() == challenge.key_authorization.encode():
            return True, "shows the token"
        return False, f"answers {answer.status} without the token"


def _finding(seen: Sequence[_Seen], troubles: Sequence[str]) -> Finding:
    reasons = list(dict.fromkeys(filter(None, (_reason(each, seen) for each in seen))))
    told = "; ".join(map(str, (*seen, *troubles)))
    return Finding(text="; ".join([told, *reasons]), explains=bool(reasons))


def _reason(one: _Seen, seen: Sequence[_Seen]) -> str | None:
    """
    Say what has to be mended at an address, where that is plain.
    """
    if not one.public:
        return f"{one.address} cannot be reached from the internet: the {one.kind} record must have a public address"
    if one.elsewhere is not None and one.token is not True:
        return f"the {one.kind} record leads elsewhere: it should be {one.elsewhere}"
    if one.here and one.token is False:
        return f"the way to {one.address} port 80 is closed, or not nginx's"
    if one.kind == "AAAA" and one.token is False and any(each.token for each in seen if each.kind == "A"):
        return f"a CA prefers IPv6, and the AAAA record {one.address} leads elsewhere: mend it or take it away"
    return None
