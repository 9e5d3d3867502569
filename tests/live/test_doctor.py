"""
`gatelodge doctor` as people meet it: a process of its own beside a daemon, a real nginx, a real CA, real name servers and an Alidns, on a
good day and on one when everything is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import alidns, bind, house, upstream
from tests.support.dns_house import ALIYUN_INI, OTHER, ZONE, DnsHouse
from tests.support.nginx_external import SCRIPT, HisNginx
from tests.support.nginx_house import DEBIAN
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports

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
        ("certificates", f"www.{MOVED}", "broken", "a self-signed placeholder stands in"),
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


async def test_a_network_that_swallows_everything() -> None:
    """
    No name server, no service, no CA and no upstream answers, and none refuses: it ends within a minute all the same, and says so.
    """
    async with opened() as dns, _swallowing() as (tcp, udp):
        write(dns, site(WIKI, f"http://127.0.0.1:{tcp}"), f'[sites."{LAB}"]\nupstream = "http://htmldeploy:80"\n')
        text = dns.gate.config.read_text()
        text = text.replace(dns.bind.server, f"127.0.0.1:{udp}").replace(
            "doh = []", f'doh = ["http://127.0.0.1:{tcp}/"]'
        )
        text = text.replace(dns.gate.ca.directory, f"https://127.0.0.1:{tcp}/dir")
        text = text.replace(dns.aliyun.url, f"http://127.0.0.1:{tcp}").replace(
            f"port = {dns.bind.port}\n", f"port = {udp}\n"
        )
        text = text[: text.index("[ddns]")] + text[text.index("[resolver]") :]
        dns.gate.config.write_text(text)
        began = time.monotonic()
        said = await doctor(dns)

        assert time.monotonic() - began < 60
        assert "nginx cannot find htmldeploy" in said.of("upstreams", f"{LAB}/", "broken")["seen"]
        assert "does not answer" in said.of("upstreams", f"{WIKI}/", "warning")["seen"]
        assert said.of("clock", "", "note")
        assert [each for each in said.findings if each["check"] == "addresses" and each["level"] == "note"]
        assert said.code == 1


@contextlib.asynccontextmanager
async def _swallowing() -> AsyncIterator[tuple[int, int]]:
    """
    Take every connection and every datagram, and never answer.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass
        writer.close()

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    try:
        async with (
            await asyncio.start_server(serve, "127.0.0.1", 0) as server,
            await asyncio.start_server(serve, "127.0.0.1", port),
        ):
            yield server.sockets[0].getsockname()[1], port
    finally:
        transport.close()


async def test_before_the_first_start_and_after_a_crash() -> None:
    """
    Without a daemon it looks itself: first nothing is there, and after a kill nginx goes on and only the daemon is missed. It makes nothing.
    """
    async with opened() as dns:
        write(dns, *healthy(dns))
        said = await doctor(dns)

        assert "it is not there yet" in said.of("state", str(dns.gate.state), "note")["seen"]
        assert "is not there yet to write it down in" in said.of("dns", f"dns.home {ZONE}", "note")["seen"]
        assert "there is none" in said.of("certificates", WIKI, "broken")["seen"]
        assert said.code == 1
        assert not dns.gate.state.exists()

        await dns.gate.start()
        await dns.gate.serving(WIKI, SHOP, LAB)
        await dns.gate.kill()
        before = {path: path.stat().st_mtime_ns for path in dns.gate.state.rglob("*") if path.is_file()}
        said = await doctor(dns)

        assert said.counts["broken"] == 0, said.findings
        assert "no daemon works on it now" in said.of("state", str(dns.gate.state), "note")["seen"]
        assert {path: path.stat().st_mtime_ns for path in dns.gate.state.rglob("*") if path.is_file()} == before


async def test_a_wrong_configuration_leaves_what_can_be_looked_at() -> None:
    """
    Every mistake is told, with line and remedy; the state directory, nginx and other programs are looked at all the same, and a daemon
    that goes on with what it read before is asked how things stand. Exit code 2.
    """
    async with opened() as dns:
        dns.gate.config.write_text(
            f'state_directory = "{dns.gate.folder}"\n[nginx]\nhtpp_port = 80\n[sites]\n"a b" = 3\n'
        )
        said = await doctor(dns, "--offline")

        assert said.code == 2
        mistakes = [each for each in said.findings if (each["check"], each["level"]) == ("configuration", "broken")]
        assert len(mistakes) == 2
        assert any("http_port" in each["do"] for each in mistakes)
        assert {each["check"] for each in said.findings} == {"configuration", "state", "nginx", "others"}

        write(dns, *healthy(dns))
        await dns.gate.start()
        await dns.gate.serving(WIKI, SHOP, LAB)
        dns.gate.config.write_text(dns.gate.config.read_text() + "nonsense = 1\n")
        said = await doctor(dns, "--offline")

        assert said.code == 2
        assert "good until" in said.of("certificates", WIKI, "ok")["seen"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_as_somebody_else() -> None:
    """
    What may not be looked at is told as a note, with who may; what may, is looked at. Nothing ends in a traceback.
    """
    async with opened() as dns:
        write(dns, *healthy(dns))
        dns.gate.config.chmod(0o644)
        await dns.gate.start()
        await dns.gate.serving(WIKI, SHOP, LAB)
        document = await _as_nobody(dns)
        said = Said(code=0, findings=document["findings"], counts=document["counts"])

        assert "this user may not read it" in said.of("configuration", str(dns.ini), "note")["seen"]
        assert [each for each in said.findings if each["check"] == "certificates" and each["level"] == "note"]
        assert [each for each in said.findings if each["check"] == "state" and "may not look" in each["seen"]]
        assert "answers 200" in said.of("upstreams", f"{WIKI}/", "ok")["seen"]
        assert "with tree" in said.of("ports", f"port {dns.gate.http}", "ok")["seen"]
        assert not [each for each in said.findings if each["check"] == "others" and "may not look" in each["seen"]]
        assert not [each for each in said.findings if "this check failed" in each["seen"]], said.findings


_NOBODY = """
import contextlib, io, os, pwd, sys
from gatelodge.cli import main
for user in (None, "nobody"):
    if user:
        os.setgroups([]); os.setgid(pwd.getpwnam(user).pw_gid); os.setuid(pwd.getpwnam(user).pw_uid)
    sys.argv = ["gatelodge", "doctor", "--json", "-c", sys.argv[-1]]
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        main()
print(said.getvalue())
"""


async def _as_nobody(dns: DnsHouse) -> dict[str, Any]:
    """
    Run it as nobody, once all is loaded by a first run: a checkout, and Python itself, may be root's own. Its lines are not counted, since
    nobody may write down which ran.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _NOBODY, str(dns.gate.config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd="/", env=environment,
    )  # fmt: skip
    async with asyncio.timeout(90):
        out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("way", ["commands", "mailbox"])
async def test_an_nginx_that_others_run(way: str) -> None:
    """
    With the include line all is well; without it that is told, as far as his configuration can be seen from here, and his ports answer with
    another one. Through the mailbox nothing but the script's word is known of his nginx.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-", ignore_cleanup_errors=True) as name:
        async with house.opened(Path(name)) as gate, contextlib.AsyncExitStack() as stack:
            folder = Path(name) / "his"
            folder.mkdir(mode=0o755)
            his = HisNginx(folder=folder, state=gate.state, program=DEBIAN)
            his.write()
            await his.start()
            stack.push_async_callback(his.stop)
            gate.nginx = 'mode = "external"\n' + (
                f'binary = "{his.nginx}"' if way == "commands" else 'reload = "mailbox"'
            )
            if way == "mailbox":
                await stack.enter_async_context(_script(his))
            gate.write(WIKI)
            await gate.start()
            await gate.serving(WIKI)
            said = await _offline(gate)

            assert "with tree" in said.of("ports", f"port {gate.http}", "ok")["seen"]
            assert not [each for each in said.findings if each["level"] == "broken"], said.findings
            if way == "commands":
                assert "it includes" in said.of("nginx", "nginx.conf", "ok")["seen"]

            text = (folder / "nginx.conf").read_text()
            (folder / "nginx.conf").write_text(
                "".join(line for line in text.splitlines(keepends=True) if "http.con[f]" not in line)
            )
            assert his.process is not None
            his.process.send_signal(signal.SIGHUP)
            await until(lambda: _is_closed(gate.http))
            said = await _offline(gate)

            assert "nobody answers" in said.of("ports", f"port {gate.http}", "broken")["seen"]
            if way == "commands":
                assert "does not include" in said.of("nginx", "nginx.conf", "broken")["seen"]


async def _offline(gate: house.House) -> Said:
    code, out, err = await gate.gatelodge("doctor", "--json", "--offline")
    document: dict[str, Any] = json.loads(out)
    assert err == ""
    return Said(code=code, findings=document["findings"], counts=document["counts"])


async def _is_closed(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    writer.close()
    return False


@contextlib.asynccontextmanager
async def _script(his: HisNginx) -> AsyncIterator[None]:
    """
    Run the mailbox's script beside his nginx.
    """
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", str(SCRIPT), "--stay", stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "GATELODGE_STATE": str(his.state), "GATELODGE_NGINX": his.nginx},
    )  # fmt: skip
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def test_what_a_killed_doctor_leaves_is_swept() -> None:
    """
    It is killed while its record is there: the record was written down, and the daemon's next start takes it away.
    """
    async with opened() as dns:
        write(dns, *healthy(dns))
        await dns.gate.start()
        await dns.gate.serving(WIKI, SHOP, LAB)
        await until(lambda: _settled(dns))
        before = await dns.published()
        dns.aliyun.reached.clear()
        dns.aliyun.faults["DeleteDomainRecord"].append("hangs before the write")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gatelodge", "doctor", "-c", str(dns.gate.config),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(40):
            await dns.aliyun.reached.wait()
        process.kill()
        await process.wait()

        # The other provider's may be there still, or not yet.
        assert f"_acme-challenge.{WIKI}" in {each[0] for each in await dns.published() - before}

        await dns.gate.kill()
        await dns.gate.start()

        async def swept() -> bool:
            return await dns.published() == before

        await until(swept, seconds=40)
