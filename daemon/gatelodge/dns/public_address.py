"""
Finds the public address of this machine: at an interface, by what services on the internet see, or from a program of the user's.

An address that the internet cannot come back to is none: private ones, and those of a carrier's NAT, are refused with a reason.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import ipaddress
import json
from pathlib import Path
from typing import TYPE_CHECKING

import ifaddr

from gatelodge import programs
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

#: Bytes of an answer that are looked at: enough for an address with much around it in JSON.
_LONGEST = 4096

#: Characters of an answer that are shown.
_SHOWN = 64

#: Addresses that a carrier shares among its customers (RFC 6598).
_SHARED = ipaddress.ip_network("100.64.0.0/10")

#: IPv6 addresses of this machine with what the kernel holds of them (Linux; `IFA_F_*` of linux/if_addr.h).
_IF_INET6 = Path("/proc/net/if_inet6")
_TEMPORARY, _DAD_FAILED, _DEPRECATED, _TENTATIVE = 0x01, 0x08, 0x20, 0x40

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


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
        return await self._seen(tuple(dict.fromkeys(source.urls or SERVICES[family])), family)

    def _at_interface(self, name: str, family: int) -> str:
        adapters = [adapter for adapter in ifaddr.get_adapters() if adapter.name == name]
        if not adapters:
            raise _unknown(f"there is no interface {name}; `ip address` lists them")
        # IPv6 addresses come as a tuple with flow and scope.
        held = [str(ip.ip if ip.is_IPv4 else ip.ip[0]) for each in adapters for ip in each.ips]
        found = [each for each in map(_address, held) if each.version == family]
        public = [each for each in found if _is_public(each)]
        if not public:
            has = ", ".join(map(str, found)) or "none"
            remedy = '; behind a router, write { url = "https://…" } or true, to be told by a service what it sees'
            raise _unknown(
                f"{name} has no public IPv{family} address (it has {has}){_why(found) or (remedy if found else '')}"
            )
        return str(_lasting(public))

    async def _seen(self, urls: Sequence[str], family: int) -> str:
        """
        Ask services, all at once.
        """
        answers = await together(self._ask(url, family) for url in urls)
        votes = collections.Counter(address for address, _ in answers if address is not None)
        wanted = min(_AGREEING, len(urls))
        best = votes.most_common(2)
        if best and best[0][1] >= wanted and len({count for _, count in best}) == len(best):
            return best[0][0]
        said = "; ".join(f"{url}: {why or address}" for url, (address, why) in zip(urls, answers, strict=True))
        if len(urls) == 1:
            raise _unknown(f"the public IPv{family} address is not known: {said}")
        what = "do not agree" if len(votes) > 1 else f"did not tell it ({wanted} must say the same)"
        raise _unknown(f"{len(urls)} services asked for the public IPv{family} address {what}: {said}")

    async def _ask(self, url: str, family: int) -> tuple[str | None, str]:
        """
        Return the address that a service sees, or why it told none.
        """
        try:
            answer = await self._http.request("GET", url, timeout=_HTTP_SECONDS)
            if answer.status != _OK:
                return None, f"status {answer.status}"
            return _public(answer.body, family, "it said"), ""
        except (HttpUnreachable, HttpDisconnected) as error:
            return None, str(error)
        except DnsError as error:
            return None, error.problem.detail


async def _printed(command: tuple[str, ...]) -> bytes:
    """
    Return the first line that a program prints. It is run without a shell.
    """
    program = command[0]
    try:
        ran = await programs.run(command, seconds=_COMMAND_SECONDS, most=_LONGEST + 1, beginning=True)
    except TimeoutError:
        raise _unknown(f"{program} did not end within {_COMMAND_SECONDS:g} s and was killed; run it by hand") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise _unknown(f"{program} cannot be run: {why}; give its absolute path, make it executable") from error
    if ran.status:
        last_words = dataclasses.replace(ran, err=b"".join(ran.err.strip().splitlines()[-1:]))
        raise _unknown(f"{program} {programs.why(last_words)}; run it by hand")
    return ran.out if len(ran.out) > _LONGEST else next(iter(ran.out.splitlines()), b"")


def _public(said: bytes, family: int, whose: str) -> str:
    """
    Read an address of the internet, alone or as `ip` of a JSON object.

    Raises:
        DnsError: it is none.
    """
    if len(said) > _LONGEST:
        raise _unknown(f"{whose} more than {_LONGEST} bytes ({_shown(said)!r} …), which is no address")
    text = said.decode(errors="replace").strip()
    # A service may nest as deeply as it likes.
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
        text = str(found["ip"]).strip() if isinstance(found, dict) and "ip" in found else text
    try:
        address = _address(text)
    except ValueError:
        what = f"{_shown(said)!r}, which is no address" if text else "nothing"
        raise _unknown(f"{whose} {what}") from None
    if address.version != family:
        raise _unknown(f"{whose} {address}, and IPv{family} is looked for")
    if not _is_public(address):
        raise _unknown(f"{whose} {address}, which is not public{_why([address])}")
    return str(address)


def own_addresses() -> frozenset[str]:
    """
    Return the addresses of all interfaces of this machine, in canonical form; none when they cannot be listed.
    """
    try:
        held = [ip.ip if ip.is_IPv4 else ip.ip[0] for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    except OSError:
        return frozenset()
    return frozenset(str(_address(str(each))) for each in held)


def _address(text: str) -> _Address:
    address = ipaddress.ip_address(text)
    # Where a scope was given (RFC 4007 §11), it means something to this machine alone.
    return type(address)(int(address))


def _is_public(address: _Address) -> bool:
    mapped = address.version == 6 and getattr(address, "ipv4_mapped", None) is not None  # noqa: PLR2004 - IPv6
    return address.is_global and not address.is_multicast and not mapped


def _lasting(public: Sequence[_Address]) -> _Address:
    """
    Return the address that will be there for longest: not one that is made to be given up soon (RFC 8981).
    """
    flags: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _IF_INET6.read_text(encoding="ascii").splitlines():
            held, _, _, _, marks, *_ = line.split()
            flags[str(ipaddress.IPv6Address(int(held, 16)))] = int(marks, 16)

    def rank(address: _Address) -> tuple[bool, bool]:
        marks = flags.get(str(address), 0)
        return bool(marks & (_DEPRECATED | _TENTATIVE | _DAD_FAILED)), bool(marks & _TEMPORARY)

    return min(public, key=rank)


def _why(found: Sequence[_Address]) -> str:
    if any(each in _SHARED for each in found):
        return "; the provider of this line shares its addresses among customers (RFC 6598), so that nobody can come in by IPv4"
    return ""


def _shown(said: bytes) -> str:
    """
    Return the beginning of what was said in a form that is safe to show.
    """
    text = " ".join(said[: 4 * _SHOWN].decode(errors="replace").split())
    return "".join(each if each.isprintable() else "?" for each in text[:_SHOWN])


def _unknown(detail: str) -> DnsError:
    return DnsError(Problem(type="dnsProvider", detail=detail))
