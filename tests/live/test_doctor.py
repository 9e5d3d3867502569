"""
`gatelodge doctor` as people meet it: a process of its own beside a daemon, a real nginx, a real CA, real name servers and an Alidns, on a
good day and on one when everything is wrong.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import alidns, bind, house, upstream
from tests.support.dns_house import ALIYUN_INI, OTHER, ZONE, DnsHouse
from tests.support.waiting import until

from gatelodge.demo.pebble import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

#: An address of the internet, which stands for the home's. Nothing leads there from a test.
PUBLIC, ELSEWHERE_6 = "192.88.99.7", "2001:500:2::c"
WIKI, SHOP, LAB = f"wiki.{ZONE}", f"shop.{ZONE}", f"lab.{OTHER}"
MOVED = "moved.example"


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[DnsHouse]:
    """
    Prepare a gate whose zones say that all hosts are at `PUBLIC`.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        folder = Path(name)
        async with (
            bind.running(folder, zones=(ZONE, OTHER, MOVED), hosts=PUBLIC, recursive=True) as server,
            house.opened(folder, name_server=server.server) as gate,
            alidns.running() as service,
        ):
            service.zone(ZONE, f"ns1.{ZONE}")
            service.publish = alidns.into(server)
            found = DnsHouse(gate=gate, bind=server, aliyun=service)
            found.ini.parent.mkdir()
            found.ini.write_text(ALIYUN_INI.format(id=alidns.KEY_ID, secret=alidns.KEY_SECRET))
            found.ini.chmod(0o600)
            yield found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """
    What a call of `doctor` ended with.
    """

    code: int
    findings: list[dict[str, str]]
    counts: dict[str, int]

    def of(self, check: str, subject: str, level: str) -> dict[str, str]:
        """
        Return the one finding of that check and level whose subject begins so.
        """
        found = [
            each
            for each in self.findings
            if (each["check"], each["level"]) == (check, level) and each["subject"].startswith(subject)
        ]
        assert len(found) == 1, (check, subject, level, self.findings)
        return found[0]


async def doctor(dns: DnsHouse, *arguments: str) -> Said:
    """
    Run it for programs.
    """
    code, out, err = await dns.gate.gatelodge("doctor", "--json", *arguments)
    document: dict[str, Any] = json.loads(out)
    assert err == ""
    return Said(code=code, findings=document["findings"], counts=document["counts"])


def settings(dns: DnsHouse) -> str:
    """
    Return two providers, and where addresses are looked up.
    """
    address = dns.gate.folder / "address"
    address.write_text(f"#!{sys.executable}\nprint({PUBLIC!r})\n")
    address.chmod(0o755)
    ddns = f'[ddns]\ndns = "lab"\nhosts = ["home.{OTHER}"]\nipv4 = {{ command = ["{address}"] }}\nipv6 = false\n'
    return dns.home() + dns.lab() + ddns + dns.resolver


def site(host: str, url: str, more: str = "") -> str:
    """
    Return a site that is proven by Aliyun.
    """
    return f'[sites."{host}"]\nupstream = "{url}"\nchallenge = "dns:home"\n{more}\n'


def write(dns: DnsHouse, *sites: str) -> None:
    """
    Write the configuration.
    """
    dns.gate.write(more="".join(sites) + settings(dns))
    dns.gate.config.chmod(0o600)


def healthy(dns: DnsHouse) -> tuple[str, ...]:
    """
    Return sites that are well.
    """
    here = f"http://127.0.0.1:{dns.gate.upstream}"
    lab = f'[sites."{LAB}"]\nupstream = "{here}"\nchallenge = "dns:lab"\n'
    return site(WIKI, here), site(SHOP, here), lab


async def test_a_healthy_gate_and_then_ten_faults_at_once() -> None:
    """
    On a good day nothing is broken, and a router that does not turn visits round is the only warning. Then everything breaks at once,
    and each fault is told by the name of what it is about, with a reason and a remedy. Nothing is left in the DNS.
    """
    async with opened() as dns, upstream.running() as loop:
        write(dns, *healthy(dns))
        await dns.gate.start()
        await dns.gate.serving(WIKI, SHOP, LAB)
        await dns.gate.saw("address.changed")
        await until(lambda: _settled(dns))
        published = await dns.published()
        well = await doctor(dns)

        assert well.counts["broken"] == 0, well.findings
        assert {(each["check"], each["subject"]) for each in well.findings if each["level"] == "warning"} == {
            ("outside", "hairpin NAT")
        }
        assert well.code == 0
        assert PUBLIC in well.of("addresses", WIKI, "ok")["seen"]
        assert "could be added and deleted" in well.of("dns", f"dns.home {ZONE}", "ok")["seen"]
        assert "could be added and deleted" in well.of("dns", f"dns.lab {OTHER}", "ok")["seen"]
        assert "answers 200" in well.of("upstreams", f"{WIKI}/", "ok")["seen"]
        assert await dns.published() == published

        _keep("healthy", (await dns.gate.gatelodge("doctor"))[1])
        with _taken() as port:
            await _break(dns, loop, port)
            ill = await doctor(dns)
            _keep("ill", (await dns.gate.gatelodge("doctor"))[1])

        assert ill.code == 1
        for number, (check, subject, level, words) in enumerate(_faults(dns, port), 1):
            found = ill.of(check, subject, level)
            assert words in found["seen"], (number, found)
            assert found["why"], found
            assert found["do"], found
        left = {each for each in await dns.published() - published if each[1] == "TXT"}
        assert {name for name, _, _ in left} <= {f"_acme-challenge.{WIKI}", f"_acme-challenge.{SHOP}"}


def _faults(dns: DnsHouse, port: int) -> list[tuple[str, str, str, str]]:
    """
    Return every fault: by which check, about what, how bad, and a part of what is seen.
    """
    return [
        ("configuration", str(dns.ini), "warning", "its mode is 0644"),
        ("state", f"{dns.gate.state}/journal", "warning", "0755"),
        ("addresses", WIKI, "broken", f"AAAA {ELSEWHERE_6} leads elsewhere"),
        ("certificates", f"www.{MOVED}", "broken", "it is placeholder"),
        ("certificates", f"bad.{ZONE}", "broken", "nginx refused it"),
        ("dns", f"www.{MOVED}", "broken", "dns1.hichina.test"),
        ("dns", "dns.home", "warning", "main account"),
        ("dns", f"dns.home {ZONE}", "broken", "could be added and not deleted"),
        ("dns", "dns.lab", "broken", "does not accept the key of lab"),
        ("upstreams", f"dead.{ZONE}/", "broken", "does not accept connections"),
        ("upstreams", f"name.{ZONE}/", "broken", "nginx cannot find htmldeploy"),
        ("upstreams", f"loop.{ZONE}/", "broken", "sends whoever asks for / to https://loop"),
        ("upstreams", f"tls.{ZONE}/", "broken", "does not speak TLS"),
        ("ports", f"port {port}", "broken", "holds it, and nginx should"),
    ]


async def _break(dns: DnsHouse, loop: upstream.Upstream, port: int) -> None:
    """
    Break everything, and wait until the daemon has met it.
    """
    here = f"http://127.0.0.1:{dns.gate.upstream}"
    loop.location = f"https://loop.{ZONE}:{dns.gate.https}/"
    (dead,) = free_ports(1)
    dns.aliyun.zone(MOVED, "dns1.hichina.test", "dns2.hichina.test")
    write(
        dns,
        *healthy(dns),
        site(f"www.{MOVED}", here),
        site(f"dead.{ZONE}", f"http://127.0.0.1:{dead}"),
        site(f"name.{ZONE}", "http://htmldeploy:80"),
        site(f"loop.{ZONE}", f"http://127.0.0.1:{loop.port}"),
        site(f"tls.{ZONE}", f"https://127.0.0.1:{dns.gate.upstream}"),
        site(f"bad.{ZONE}", here, 'snippet = "no_such_directive on;"'),
        site(f"port.{ZONE}", here, f"listen = [{port}]"),
    )
    dns.gate.reload()
    await dns.gate.saw("site.quarantined", times=2)
    await until(lambda: _failed(dns, f"www.{MOVED}"), seconds=40)
    dns.ini.chmod(0o644)
    (dns.gate.state / "journal").chmod(0o755)
    await dns.bind.update(ZONE, ("add", f"{WIKI}.", "60", "A", PUBLIC), ("add", f"{WIKI}.", "60", "AAAA", ELSEWHERE_6))
    dns.aliyun.identity = "Account"
    dns.aliyun.forbidden = {"DeleteDomainRecord"}
    text = dns.gate.config.read_text()
    dns.gate.config.write_text(text.replace(dns.bind.secrets["hmac-sha256"], dns.bind.secrets["hmac-sha512"]))


async def _settled(dns: DnsHouse) -> bool:
    return bool((await dns.gate.status())["settled"])


async def _failed(dns: DnsHouse, name: str) -> bool:
    entries = {entry["certificate"]: entry for entry in (await dns.gate.status())["certificates"]}
    return name in entries and entries[name]["failure"] is not None


@contextlib.contextmanager
def _taken() -> Any:
    """
    Hold a port that nginx is to open.
    """
    with socket.socket() as holder:
        holder.bind(("0.0.0.0", 0))
        holder.listen()
        yield holder.getsockname()[1]


def _keep(name: str, text: str) -> None:
    """
    Show what people read; with `-s`.
    """
    width = shutil.get_terminal_size().columns
    sys.stdout.write(f"\n{name.center(width, '-')}\n{text}\n")
