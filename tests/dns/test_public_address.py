"""
The machine's public address: seen by services, printed by programs, held by interfaces; and why it is not known.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import ifaddr
import pytest
from tests.support import leftovers
from tests.support.waiting import until

from gatelodge.dns import public_address
from gatelodge.dns.public_address import SERVICES, Finder, own_addresses
from gatelodge.errors import DnsError, HttpDisconnected, HttpUnreachable
from gatelodge.model import AddressSource
from gatelodge.ports import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

ONE, TWO, THREE = "198.41.0.4", "199.9.14.201", "192.33.4.12"
SIX = "2001:500:2::c"


class Services:
    """
    Implements `ports.Http`: what each URL answers; by its own name, or by its place among the built-in ones.
    """

    def __init__(self, *answers: bytes | str | int | Exception, urls: tuple[str, ...] = ()) -> None:
        self.urls = urls or tuple(f"https://s{number}.test" for number in range(len(answers)))
        self.answers = dict(zip(self.urls, answers, strict=False))
        self.asked: list[str] = []

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 30,
    ) -> HttpResponse:
        assert (method, headers, body, timeout) == ("GET", None, None, 10)
        self.asked.append(url)
        answer = self.answers[url]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return HttpResponse(status=answer, headers={}, body=b"")
        return HttpResponse(status=200, headers={}, body=answer.encode() if isinstance(answer, str) else answer)

    async def find(self, family: int = 4) -> str:
        """
        Ask them all.
        """
        return await Finder(http=self).find(AddressSource(urls=self.urls), family)

    async def why(self, family: int = 4) -> str:
        """
        Ask them all in vain.
        """
        return await why(AddressSource(urls=self.urls), family, self)


async def find(source: AddressSource, family: int = 4, http: Services | None = None) -> str:
    """
    Find the address.
    """
    return await Finder(http=http or Services()).find(source, family)


async def why(source: AddressSource, family: int = 4, http: Services | None = None) -> str:
    """
    Return why it is not known.
    """
    with pytest.raises(DnsError) as caught:
        await find(source, family, http)
    assert caught.value.problem.type == "dnsProvider"
    return caught.value.problem.detail


# Services


@pytest.mark.parametrize(
    ("answers", "address"),
    [
        ((ONE,), ONE),
        ((f"{ONE}\n", ONE), ONE),
        ((ONE, TWO, ONE), ONE),
        ((TWO, ONE, ONE), ONE),
        ((ONE, 500, HttpDisconnected("it hung up"), ONE), ONE),
        ((ONE, ONE, TWO, TWO, ONE), ONE),
        ((json.dumps({"ip": ONE, "city": "Anywhere"}), ONE), ONE),
        (("<html>log in</html>", ONE, "10.0.0.1", ONE), ONE),
    ],
)  # fmt: skip
async def test_what_two_services_see(answers: tuple[str, ...], address: str) -> None:
    """
    Of several two must say the same, and nothing else be said as often; one that is named alone is believed.
    """
    assert await Services(*answers).find() == address


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ((ONE, TWO), f"2 services asked for the public IPv4 address do not agree: https://s0.test: {ONE}; https://s1.test: {TWO}"),
        ((ONE, TWO, THREE), "3 services asked for the public IPv4 address do not agree"),
        ((ONE, ONE, TWO, TWO), "4 services asked for the public IPv4 address do not agree"),
        ((ONE, 503), f"did not tell it (2 must say the same): https://s0.test: {ONE}; https://s1.test: status 503"),
        ((503,), "the public IPv4 address is not known: https://s0.test: status 503"),
        (("<html>log in</html>", 302), "it said '<html>log in</html>', which is no address; https://s1.test: status 302"),
        ((HttpUnreachable("s0.test cannot be reached"), HttpDisconnected("s1.test did not answer within 10 s")),
         "https://s0.test: s0.test cannot be reached; https://s1.test: s1.test did not answer within 10 s"),
        (("10.0.0.1", "127.0.0.1"), "https://s0.test: it said 10.0.0.1, which is not public; https://s1.test: it said 127.0.0.1"),
        (("100.64.1.2",), "it said 100.64.1.2, which is not public; the provider of this line shares its addresses among customers"),
        (("224.0.0.1",), "it said 224.0.0.1, which is not public"),
        (("0.0.0.0",), "it said 0.0.0.0, which is not public"),
        ((SIX,), f"it said {SIX}, and IPv4 is looked for"),
        ((b"\xff\xfe\x00\x1b[31m",), "it said '???\u001b[31m'".replace("\u001b", "?").replace("???", "\ufffd\ufffd?")),
        (("9" * 4000,), "which is no address"),
        (("1" * 5000,), "it said more than 4096 bytes ('11111"),
        (("[" * 4096,), "which is no address"),
        ((json.dumps({"ip": {"deep": [1]}}),), "which is no address"),
        (("",), "it said nothing"),
        (("12345",), "it said '12345', which is no address"),
    ],
)  # fmt: skip
async def test_what_they_do_not_see(answers: tuple[str, ...], said: str) -> None:
    """
    The text says what each answered.
    """
    assert said in await Services(*answers).why()


@pytest.mark.parametrize(
    ("said", "address"),
    [(SIX, SIX), ("2001:0500:0002:0::000C", SIX), (f"{SIX}%eth0", SIX), ("fd00::1", None), ("fe80::1%eth0", None), ("ff0e::1", None),
     ("::ffff:198.41.0.4", None), (ONE, None)],
)  # fmt: skip
async def test_ipv6(said: str, address: str | None) -> None:
    """
    In canonical form, and only what can be reached from everywhere.
    """
    if address is None:
        assert "https://s0.test: it said" in await Services(said).why(6)
    else:
        assert await Services(said).find(6) == address


async def test_a_service_that_is_named_twice_is_one() -> None:
    """
    It cannot agree with itself.
    """
    services = Services(ONE, urls=("https://s0.test",))
    services.answers["https://s1.test"] = TWO
    source = AddressSource(urls=("https://s0.test", "https://s0.test", "https://s1.test"))
    assert "2 services" in await why(source, 4, services)


@pytest.mark.parametrize("family", [4, 6])
async def test_the_built_in_services(family: int) -> None:
    """
    By family, by HTTPS, and more than two, so that one may be down.
    """
    urls = SERVICES[family]
    assert len(urls) > 2
    assert all(url.startswith("https://") for url in urls)
    address = ONE if family == 4 else SIX
    services = Services(*([503] * (len(urls) - 2)), address, address, urls=urls)
    assert await find(AddressSource(), family, services) == address
    assert set(services.asked) == set(urls)


# Programs


def shell(script: str) -> AddressSource:
    """
    Return a program.
    """
    return AddressSource(command=("/bin/sh", "-c", script))


async def test_what_a_program_prints() -> None:
    """
    Its first line, plain or as JSON. It is run without a shell, and may write to stderr.
    """
    assert await find(shell(f"echo {ONE}; echo other; echo noise >&2")) == ONE
    assert await find(shell(f"printf ' {SIX} \\r\\n'"), 6) == SIX
    assert await find(AddressSource(command=("/bin/echo", f'{{"ip": "{ONE}"}}'))) == ONE
    assert "'$HOME', which is no address" in await why(AddressSource(command=("/bin/echo", "$HOME")))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "/bin/sh ended with 3: it said nothing on stderr; run it by hand"),
        (
            "echo first >&2; echo the router is away >&2; exit 1",
            "/bin/sh ended with 1: the router is away; run it by hand",
        ),
        (f"echo {ONE}; exit 1", "/bin/sh ended with 1"),
        ("kill -TERM $$", "/bin/sh was ended by signal 15"),
        ("true", "/bin/sh printed nothing"),
        ("echo; echo 198.41.0.4", "/bin/sh printed nothing"),
        ("printf '\\033[31m\\377rubbish'", "/bin/sh printed '?[31m\ufffdrubbish', which is no address"),
        ("echo 192.168.1.7", "/bin/sh printed 192.168.1.7, which is not public"),
    ],
)
async def test_programs_that_fail(script: str, said: str) -> None:
    """
    The text says how, in the program's own last words.
    """
    assert said in await why(shell(script))


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    """
    Or cannot be run, or was written with a NUL.
    """
    plain = tmp_path / "plain"
    plain.write_text("no program")
    assert "cannot be run: No such file" in await why(AddressSource(command=(str(tmp_path / "none"),)))
    assert "cannot be run: Permission denied; give its absolute path" in await why(AddressSource(command=(str(plain),)))
    assert "cannot be run: embedded null" in await why(AddressSource(command=("/bin/echo", "a\0b")))


@pytest.mark.parametrize("stream", [1, 2])
async def test_a_program_that_never_ends_to_print(monkeypatch: pytest.MonkeyPatch, stream: int) -> None:
    """
    It is cut off, and what it prints is not kept: neither of stdout nor of stderr.
    """
    monkeypatch.setattr(public_address, "_COMMAND_SECONDS", 0.3)
    assert "did not end within 0.3 s" in await why(shell(f"exec yes 198.41.0.4 >&{stream}"))


async def test_a_program_that_prints_a_lot_and_ends() -> None:
    """
    Of megabytes the beginning is looked at, and they are no address.
    """
    assert "/bin/sh printed more than 4096 bytes ('xxx" in await why(shell("head -c 3000000 /dev/zero | tr '\\0' x"))


async def test_a_program_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is killed with what it started.
    """
    monkeypatch.setattr(public_address, "_COMMAND_SECONDS", 0.3)
    pids = tmp_path / "pids"
    said = await why(shell(f"sleep 1000 & echo $! > {pids}; echo $$ >> {pids}; wait"))
    assert "/bin/sh did not end within 0.3 s and was killed" in said
    found = [int(each) for each in pids.read_text().split()]
    assert len(found) == 2
    await until(lambda: not any(_runs(pid) for pid in found))


@pytest.mark.parametrize("ends", [True, False])
async def test_whoever_left_its_group_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ends: bool
) -> None:
    """
    A daemon that the program started, and that holds its stdout open forever.
    """
    monkeypatch.setattr(public_address, "_COMMAND_SECONDS", 0.3)
    pid = tmp_path / "pid"
    source = shell(
        f"setsid sh -c 'echo $$ > {pid}; exec sleep 1000' & until test -s {pid}; do :; done; echo {ONE}; {'' if ends else 'wait'}"
    )
    try:
        async with asyncio.timeout(5):
            if ends:
                assert await find(source) == ONE
            else:
                assert "did not end within 0.3 s" in await why(source)
    finally:
        await until(lambda: pid.exists() and pid.read_text().strip())
        os.kill(int(pid.read_text()), signal.SIGKILL)


async def test_whoever_is_cancelled_kills_the_program(tmp_path: Path) -> None:
    """
    And leaves nothing behind.
    """
    pids = tmp_path / "pids"
    async with asyncio.TaskGroup() as group:
        task = group.create_task(find(shell(f"sleep 1000 & echo $! > {pids}; echo $$ >> {pids}; wait")))
        await until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        task.cancel()
    assert task.cancelled()
    await until(lambda: not any(_runs(int(each)) for each in pids.read_text().split()))
    assert leftovers.tasks("dns") == []


def _runs(pid: int) -> bool:
    """
    Tell whether a process runs: a zombie, which somebody else has to bury, does not.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Interfaces


def adapter(name: str, *addresses: str) -> ifaddr.Adapter:
    """
    Return an interface as ifaddr does.
    """
    held = [
        ifaddr.IP((each, 0, 0), 64, name) if ":" in each else ifaddr.IP(each, 24, name)  # type: ignore[arg-type]
        for each in addresses
    ]
    return ifaddr.Adapter(name, name, held)  # type: ignore[arg-type]


@pytest.fixture
def interfaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """
    Some interfaces. Returns the file in which the kernel tells more of their IPv6 addresses.
    """
    found = [
        adapter("lan0", "192.168.1.5", "fe80::1", "fd00::5"),
        adapter("wan0", "10.0.0.2", ONE, TWO, "fe80::2", "2001:500:2::d", SIX),
        adapter("wan0", "2001:500:2::e"),
        adapter("ppp0", "100.70.0.1"),
        adapter("bare0"),
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: found)
    marks = tmp_path / "if_inet6"
    monkeypatch.setattr(public_address, "_IF_INET6", marks)
    return marks


@pytest.mark.usefixtures("interfaces")
async def test_the_address_of_an_interface() -> None:
    """
    The first public one of the family.
    """
    assert await find(AddressSource(interface="wan0")) == ONE
    assert await find(AddressSource(interface="wan0"), 6) == "2001:500:2::d"


@pytest.mark.usefixtures("interfaces")
@pytest.mark.parametrize(
    ("name", "family", "said"),
    [
        ("lan0", 4, "lan0 has no public IPv4 address (it has 192.168.1.5); behind a router, write { url"),
        ("lan0", 6, "lan0 has no public IPv6 address (it has fe80::1, fd00::5)"),
        ("ppp0", 4, "(it has 100.70.0.1); the provider of this line shares its addresses among customers (RFC 6598)"),
        ("bare0", 4, "bare0 has no public IPv4 address (it has none)"),
        ("eth9", 4, "there is no interface eth9; `ip address` lists them"),
    ],
)
async def test_interfaces_without_one(name: str, family: int, said: str) -> None:
    """
    The text says what it has, and what to do.
    """
    assert said in await why(AddressSource(interface=name), family)


@pytest.mark.parametrize(
    ("marks", "address"),
    [
        ({"d": 0x01, "c": 0x20, "e": 0x80}, "2001:500:2::e"),
        ({"d": 0x20, "c": 0x01, "e": 0x40}, SIX),
        ({}, "2001:500:2::d"),
    ],
)
async def test_an_address_that_lasts_is_preferred(interfaces: Path, marks: dict[str, int], address: str) -> None:
    """
    Over the temporary one that is made for privacy, and over one that is being given up (RFC 8981).
    """
    lines = [f"2001050000020000000000000000000{end} 02 40 00 {mark:02x}     wan0\n" for end, mark in marks.items()]
    await asyncio.to_thread(interfaces.write_text, "".join([*lines, "the kernel may say more one day\n"]))
    assert await find(AddressSource(interface="wan0"), 6) == address


async def test_the_loopback_interface_has_no_public_address() -> None:
    """
    A real one.
    """
    assert "lo has no public IPv4 address (it has 127.0.0.1" in await why(AddressSource(interface="lo"))


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace wants root")
async def test_a_real_interface_with_public_addresses() -> None:
    """
    In a network namespace of its own.
    """
    program = (
        "import asyncio\nfrom gatelodge.dns.public_address import Finder\nfrom gatelodge.model import AddressSource\n"
        "for family in (4, 6):\n    print(asyncio.run(Finder(http=None).find(AddressSource(interface='lo'), family)))\n"
    )
    script = f'ip link set lo up && ip address add {ONE}/32 dev lo && ip -6 address add {SIX}/128 dev lo && exec "$0" -c "$1"'
    done = await asyncio.to_thread(
        subprocess.run,
        ["unshare", "--net", "/bin/sh", "-c", script, sys.executable, program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
    )
    if "unshare" in done.stderr or "ip: not found" in done.stderr:
        pytest.skip("no network namespaces here")
    assert done.stdout.split() == [ONE, SIX], done.stderr


def test_the_addresses_of_this_machine() -> None:
    """
    Of all its interfaces, both kinds, as they are written in records.
    """
    found = own_addresses()
    assert "127.0.0.1" in found
    assert all(str(ipaddress.ip_address(each)) == each for each in found)
