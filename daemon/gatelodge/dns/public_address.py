"""
Finds the public address of this machine: at an interface, by what services on the internet see, or from a program of the user's.

An address that the internet cannot come back to is none: private ones, and those of a carrier's NAT, are refused with a reason.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ipaddress
import json
import os
import signal
from typing import TYPE_CHECKING

import ifaddr

from gatelodge.errors import DnsError, HttpDisconnected, HttpUnreachable, Problem
from gatelodge.together import together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gatelodge.model import AddressSource
    from gatelodge.ports import Http

#: Services that answer with the address they see, by family; each host has addresses of that family alone. The first two are
#: reached from mainland China too. https://www.ipw.cn, https://www.net.cn, https://icanhazip.com, https://www.ipify.org,
#: https://www.ident.me.
SERVICES: Mapping[int, tuple[str, ...]] = {
    4: (
        "https://4.ipw.cn",
        "https://ipv4.ddnspod.com",
        "https://ipv4.icanhazip.com",
        "https://api.ipify.org",
        "https://4.ident.me",
    ),
    6: (
        "https://6.ipw.cn",
        "https://ipv6.ddnspod.com",
        "https://ipv6.icanhazip.com",
        "https://api6.ipify.org",
        "https://6.ident.me",
    ),
}

#: Of several services so many must say the same: one alone may be wrong, or not what it was.
_AGREEING = 2

_HTTP_SECONDS = 10.0
_COMMAND_SECONDS = 30.0
_OK = 200
_LONGEST = 64

#: Addresses that a carrier shares among its customers (RFC 6598).
_SHARED = ipaddress.ip_network("100.64.0.0/10")


class Finder:
    """
    Finds addresses.
    """

    def __init__(self, *, http: Http) -> None:
        self._http = http

    async def find(self, source: AddressSource, family: int) -> str:
        """
        Return the machine's public address of a family, 4 or 6, in canonical form.

        Raises:
            DnsError: `dnsProvider`: it cannot be found now; the text says what each way gave.
        """
        if source.interface:
            return self._at_interface(source.interface, family)
        if source.command:
            return _public(await _printed(source.command), family, f"{source.command[0]} printed")
        return await self._seen(source.urls or SERVICES[family], family)

    def _at_interface(self, name: str, family: int) -> str:
        adapters = [adapter for adapter in ifaddr.get_adapters() if adapter.name == name]
        if not adapters:
            raise _unknown(f"there is no interface {name}; `ip address` lists them")
        # IPv6 addresses come as a tuple with flow and scope.
        held = [str(ip.ip if ip.is_IPv4 else ip.ip[0]) for each in adapters for ip in each.ips]
        found = [each for each in map(ipaddress.ip_address, held) if each.version == family]
        public = [each for each in found if each.is_global]
        if not public:
            has = ", ".join(map(str, found)) or "none"
            raise _unknown(f"{name} has no public IPv{family} address (it has {has}){_why(found)}")
        return str(public[0])

    async def _seen(self, urls: Sequence[str], family: int) -> str:
        """
        Ask services, all at once.
        """
        answers = await together(self._ask(url, family) for url in urls)
        votes = collections.Counter(address for address, _ in answers if address is not None)
        wanted = min(_AGREEING, len(urls))
        best = votes.most_common(1)
        if best and best[0][1] >= wanted and list(votes.values()).count(best[0][1]) == 1:
            return best[0][0]
        said = "; ".join(f"{url}: {why or address}" for url, (address, why) in zip(urls, answers, strict=True))
        what = "do not agree" if len(votes) > 1 else "did not tell it"
        raise _unknown(f"{len(urls)} services asked for the public IPv{family} address {what}: {said}")

    async def _ask(self, url: str, family: int) -> tuple[str | None, str]:
        """
        Return the address that a service sees, or why it told none.
        """
        try:
            answer = await self._http.request("GET", url, timeout=_HTTP_SECONDS)
            if answer.status != _OK:
                return None, f"status {answer.status}"
            return _public(answer.body.decode(errors="replace"), family, "it said"), ""
        except (HttpUnreachable, HttpDisconnected) as error:
            return None, str(error)
        except DnsError as error:
            return None, error.problem.detail


async def _printed(command: tuple[str, ...]) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise _unknown(f"{command[0]} cannot be run: {getattr(error, 'strerror', None) or error}") from error
    try:
        async with asyncio.timeout(_COMMAND_SECONDS):
            out, _ = await process.communicate()
    except TimeoutError:
        raise _unknown(f"{command[0]} did not end within {_COMMAND_SECONDS:g} s and was killed") from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.returncode is None:
            await process.wait()
    if process.returncode:
        raise _unknown(f"{command[0]} ended with {process.returncode}")
    return next(iter(out.decode(errors="replace").splitlines()), "")


def _public(text: str, family: int, whose: str) -> str:
    """
    Read an address of the internet, alone or as `ip` of a JSON object.

    Raises:
        DnsError: it is none.
    """
    text = text.strip()
    with contextlib.suppress(ValueError):
        said = json.loads(text)
        text = str(said["ip"]).strip() if isinstance(said, dict) and "ip" in said else text
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        shown = "".join(each if each.isprintable() else "?" for each in text[:_LONGEST])
        raise _unknown(f"{whose} {shown!r}, which is no address") from None
    if address.version != family:
        raise _unknown(f"{whose} {address}, and IPv{family} is looked for")
    if not address.is_global:
        raise _unknown(f"{whose} {address}, which is not public{_why([address])}")
    return str(address)


def _why(found: Sequence[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> str:
    if any(each in _SHARED for each in found):
        return "; the provider of this line shares its addresses among customers (RFC 6598), so that nobody can come in by IPv4"
    return ""


def _unknown(detail: str) -> DnsError:
    return DnsError(Problem(type="dnsProvider", detail=detail))
