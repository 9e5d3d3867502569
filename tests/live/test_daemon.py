"""
The daemon as its users meet it, on good days and on bad ones: real nginx, real CA, real signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import stat
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import House, opened, serial_number
from tests.support.waiting import until

from gatelodge.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

WIKI, CLOUD = "wiki.example.test", "cloud.example.test"


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet. Its folder is one that nginx's workers can pass through, unlike pytest's own.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            yield found


async def test_two_services_get_certificates_and_a_third_is_added(house: House) -> None:
    """
    The main job: name services, start, both answer; add one to the file, it answers too, and the others were not touched.
    """
    house.write(WIKI, CLOUD)
    await house.start()
    await house.serving(WIKI, CLOUD)
    serials = house.serial(WIKI), house.serial(CLOUD)
    house.write(WIKI, CLOUD, "new.example.test")
    await house.serving("new.example.test")

    assert (house.serial(WIKI), house.serial(CLOUD)) == serials
    assert (await house.saw("config.loaded"))["added"] == ["new.example.test"]
    assert {entry["certificate"] for entry in house.events("certificate.issued")} == {WIKI, CLOUD, "new.example.test"}

    status = await house.status()

    assert {site["state"] for site in status["sites"]} == {"serving"}
    assert status["daemon"] is True
    assert await house.kill(signal.SIGTERM) == 0
    with pytest.raises(ConnectionRefusedError):
        await house.get(WIKI)


async def test_a_wrong_change_is_refused_and_a_removal_is_named(house: House) -> None:
    """
    SIGHUP with mistakes in the file: all are told, the old configuration goes on. A removed site is named and stays held.
    """
    house.write(WIKI, CLOUD)
    daemon = await house.start()
    await house.serving(WIKI, CLOUD)
    house.config.write_text(house.config.read_text() + '"bad host" = "http://x"\n"b.example" = "nonsense"\n')
    daemon.send_signal(signal.SIGHUP)
    refused = await house.saw("config.refused")

    assert len(refused["mistakes"]) == 2
    assert all("gatelodge.toml:" in mistake for mistake in refused["mistakes"])
    assert await house.get(CLOUD) == 200

    house.write(WIKI)
    daemon.send_signal(signal.SIGHUP)

    assert (await house.saw("config.loaded"))["removed"] == [CLOUD]

    await house.saw("nginx.reloaded", times=2)
    unused = {entry["certificate"]: entry["state"] for entry in (await house.status())["certificates"]}

    assert unused == {WIKI: "valid", CLOUD: "unused"}

    code, out, _ = await house.gatelodge("forget", WIKI)

    assert code == 1, out

    code, out, err = await house.gatelodge("forget", CLOUD)

    assert (code, out) == (0, f"{CLOUD} is deleted\n"), err
    assert not list((house.state / "certificates" / CLOUD).rglob("*.pem"))


async def test_a_wrong_configuration_is_told_whole_and_changes_nothing(house: House) -> None:
    """
    Every verb says every mistake, exits 2, shows no traceback and leaves no state behind.
    """
    house.config.write_text('[nginx]\nhtpp_port = 80\n[sites]\n"a b" = "http://x"\n"c.example" = 3\n')
    for verb in ("check", "run", "once", "plan", "status"):
        code, out, err = await house.gatelodge(verb)

        assert code == 2, verb
        assert "http_port" in err
        assert "a b" in err
        assert "c.example" in err
        assert out == ""
    assert not house.state.exists()


async def test_without_nginx_it_says_so_and_goes_on_when_there_is_one(house: House) -> None:
    """
    A missing nginx is named with its remedy; once the configuration names one that is there, everything follows.
    """
    house.nginx = 'binary = "/nowhere/nginx"'
    house.write(WIKI)
    daemon = await house.start()
    missing = await house.saw("nginx.missing")

    assert "/nowhere/nginx" in missing["error.detail"]
    assert "install" in missing["error.detail"]
    assert "/nowhere/nginx" in (await house.gatelodge("status"))[1]

    house.nginx = ""
    house.write(WIKI)
    daemon.send_signal(signal.SIGHUP)
    await house.serving(WIKI)


async def test_a_port_in_use_is_named_and_taken_when_it_is_free(house: House) -> None:
    """
    Who holds the port is somebody else: the port is named, and tried again.
    """
    house.write(WIKI)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", house.https))
        other.listen()
        await house.start()
        refused = await house.saw("nginx.refused")

        assert str(house.https) in refused["error.detail"]
    await house.serving(WIKI)


async def test_an_unreachable_ca_is_named_and_the_gate_stands_with_a_placeholder(house: House) -> None:
    """
    Nginx serves, the failure says which CA and when it is tried again, `once` exits 1.
    """
    (closed,) = free_ports(1)
    house.directory = f"https://127.0.0.1:{closed}/dir"
    house.write(WIKI)
    code, out, _ = await house.gatelodge("once", "--json")
    document = json.loads(out)

    assert code == 1
    assert document["sites"][0]["state"] == "placeholder"
    assert document["certificates"][0]["failure"]["error.type"] == "unreachable"
    assert "127.0.0.1" in document["certificates"][0]["failure"]["error.detail"]

    house.directory = None
    house.write(WIKI)
    await house.start()
    await house.saw("daemon.started")
    code, out, err = await house.gatelodge("renew", WIKI)

    assert code == 0, (out, err)
    assert house.serial(WIKI) == int((await house.status())["certificates"][0]["serial"], 16)


async def test_once_alone_issues_and_leaves_no_nginx(house: House) -> None:
    """
    For cron and CI: all issuance, then the end; what ran before runs on, what was started for it is gone.
    """
    house.write(WIKI, CLOUD)
    code, out, err = await house.gatelodge("once", "--json")
    document = json.loads(out)

    assert code == 0, err
    assert {entry["state"] for entry in document["certificates"]} == {"valid"}
    assert len(house.events("nginx.reloaded")) == 1
    assert not (house.state / "nginx" / "nginx.pid").exists()

    code, out, err = await house.gatelodge("plan")

    assert code == 0, err
    assert "start nginx" in out

    await house.start()
    await house.serving(WIKI, CLOUD)
    orders = house.orders()
    code, _, err = await house.gatelodge("once")

    assert code == 0, err
    assert house.orders() == orders


async def test_a_wrong_name_without_a_daemon_starts_nothing(house: House) -> None:
    """
    A mistyped name is told with the nearest; no nginx is started and no CA asked for that.
    """
    house.write(WIKI)
    for verb, what in (("renew", "certificate"), ("forget", "unused certificate")):
        code, _, err = await house.gatelodge(verb, "wik.example.test")

        assert code == 1
        assert f"no {what} is called 'wik.example.test'" in err
        assert "gatelodge.invalid" not in err
    assert house.events("nginx.started") == []
    assert house.orders() == 0


async def test_a_second_daemon_is_told_who_is_there(house: House) -> None:
    """
    Two daemons on one state directory cannot be: the second says who holds it, and exits 1.
    """
    house.write(WIKI)
    daemon = await house.start()
    await house.saw("nginx.started")
    code, _, err = await house.gatelodge("run")

    assert code == 1
    assert str(daemon.pid) in err
    assert daemon.returncode is None


async def test_a_killed_daemon_leaves_nginx_which_the_next_one_adopts(house: House) -> None:
    """
    Kill -9: visitors notice nothing, the next daemon finds nginx, and asks the CA for nothing.
    """
    house.write(WIKI)
    await house.start()
    await house.serving(WIKI)
    pid, orders, serial = house.nginx_pid(), house.orders(), house.serial(WIKI)
    await house.kill()

    assert await house.get(WIKI) == 200

    await house.start()
    await house.saw("daemon.started", times=2)
    await until((house.folder / "admin.sock").exists)
    status = await house.status()

    assert status["nginx"]["pid"] == pid
    assert (house.orders(), house.serial(WIKI)) == (orders, serial)


async def test_a_killed_nginx_is_started_again(house: House) -> None:
    """
    Kill -9 of nginx: an event says so, and the same certificates are served again within seconds.
    """
    house.write(WIKI)
    await house.start()
    await house.serving(WIKI)
    serial, pid = house.serial(WIKI), house.nginx_pid()
    os.kill(pid, signal.SIGKILL)
    await house.saw("nginx.exited")
    await house.saw("nginx.started", times=2)
    await house.serving(WIKI)

    assert house.serial(WIKI) == serial
    assert house.nginx_pid() != pid


async def test_both_killed_everything_starts_again_without_the_ca(house: House) -> None:
    """
    A power cut: the next start serves what is on disk, with the CA dead.
    """
    house.write(WIKI, CLOUD)
    await house.start()
    await house.serving(WIKI, CLOUD)
    await until(lambda: len(house.events("nginx.reloaded")) >= 1)
    pid, serial, visitor = house.nginx_pid(), house.serial(CLOUD), house.visitor
    await house.kill()
    os.kill(pid, signal.SIGKILL)
    os.kill(house.ca.pid, signal.SIGSTOP)
    try:
        await house.start()
        await house.saw("nginx.started", times=2)

        assert (await asyncio.to_thread(visitor.get, WIKI))[0] == 200
        assert serial_number(visitor.certificate(CLOUD)) == serial
    finally:
        os.kill(house.ca.pid, signal.SIGCONT)


async def test_sigterm_in_the_middle_of_an_order_stops_in_time_and_the_order_goes_on_later(house: House) -> None:
    """
    A CA that hangs does not hold up the stop; the next start takes the order up instead of making another.
    """
    house.write(WIKI)
    await house.start()
    await until(lambda: "POST /order-plz" in (house.folder / "pebble.log").read_text())
    os.kill(house.ca.pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        assert await house.kill(signal.SIGTERM) == 0
        assert time.monotonic() - began < 10
    finally:
        os.kill(house.ca.pid, signal.SIGCONT)
    await house.start()
    await house.serving(WIKI)
    stored = list((house.state / "journal" / "orders").glob("*"))

    assert stored == []
    assert len(house.events("certificate.issued")) == 1


async def test_a_stopped_daemon_fails_no_request(house: House) -> None:
    """
    SIGSTOP: nginx does not need the daemon, not even to write its logs.
    """
    house.write(WIKI)
    daemon = await house.start()
    await house.serving(WIKI)
    daemon.send_signal(signal.SIGSTOP)
    stop, visitor = threading.Event(), house.visitor
    asking = asyncio.get_running_loop().run_in_executor(None, visitor.keep_asking, WIKI, stop)
    try:
        for _ in range(200):
            assert await house.get(WIKI) == 200
    finally:
        stop.set()
        tally = await asking
        daemon.send_signal(signal.SIGCONT)

    assert tally.requests > 0
    assert tally.failed == 0, tally.failures


@pytest.mark.parametrize("file", ["privkey.pem", "fullchain.pem", "meta.json"])
async def test_a_damaged_certificate_is_replaced_and_no_site_goes_down(house: House, file: str) -> None:
    """
    A file damaged by hand is noticed at the next look; a new certificate comes, and nobody is shown a placeholder.
    """
    house.write(WIKI, CLOUD)
    await house.start()
    await house.serving(WIKI, CLOUD)
    await until(lambda: len(house.events("nginx.reloaded")) >= 1)
    before, other = house.serial(WIKI), house.serial(CLOUD)
    damaged = (house.state / "certificates" / WIKI / "current").resolve() / file
    stop, warnings = threading.Event(), list[str]()

    def look_on() -> None:
        while not stop.is_set():
            try:
                house.visitor.get(WIKI)
            except ssl.SSLCertVerificationError as error:
                warnings.append(str(error))
            except OSError:
                pass

    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(look_on))
        try:
            damaged.write_text("damaged")
            code, out, err = await house.gatelodge("once")

            assert code == 0, (out, err)

            await until(lambda: house.serial(WIKI) != before)
            await house.serving(WIKI, CLOUD)
        finally:
            stop.set()

    assert warnings == []
    assert house.serial(CLOUD) == other
    assert (await house.saw("certificate.renewed"))["reason"] == "its files are damaged"


async def test_a_forced_renewal_is_served_when_the_verb_returns(house: House) -> None:
    """
    `renew --force` ends when visitors are shown the new certificate; without force it says when it is due.
    """
    house.write(WIKI)
    await house.start()
    await house.serving(WIKI)
    before = house.serial(WIKI)
    code, out, err = await house.gatelodge("renew", WIKI)

    assert code == 1
    assert "not due" in err

    code, out, err = await house.gatelodge("renew", WIKI, "--force", "--json")
    answer = json.loads(out)

    assert code == 0, err
    assert answer["served"] is True
    assert house.serial(WIKI) == int(answer["serial"], 16) != before
    assert (await house.gatelodge("renew", "nobody.example"))[0] == 1

    code, out, err = await house.gatelodge("reload")

    assert code == 0, err
    assert "serves generation" in out


async def test_a_local_site_needs_no_ca(house: House, tmp_path: Path) -> None:
    """
    A LAN name is trusted by whoever imported the exported root; no ACME account is made for it.
    """
    text = house.config
    house.write()
    head = text.read_text().replace('[acme]\nagree_tos = true\nca = "pebble"\n', "")
    head = head[: head.index("[acme.cas")] + head[head.index("[nginx]") :]
    text.write_text(head + f'"nas.lan" = {{ upstream = "http://127.0.0.1:{house.upstream}", tls = "local" }}\n')
    code, out, err = await house.gatelodge("ca", "export", "-o", str(tmp_path / "root.pem"))

    assert code == 0, (out, err)

    await house.start()
    await house.saw("certificate.issued")
    visitor = house.visitor.trusting((tmp_path / "root.pem").read_text())
    await until(lambda: asyncio.to_thread(_trusted, visitor, "nas.lan"))

    assert not list((house.state / "accounts").iterdir())


def _trusted(visitor: object, host: str) -> bool:
    try:
        return visitor.get(host)[0] == 200  # type: ignore[attr-defined,no-any-return]
    except OSError:
        return False


async def test_secrets_stay_in_their_files(house: House) -> None:
    """
    No private key is in a log, an event, a status or anything that others can read, whatever the umask.
    """
    house.write(WIKI)
    old = os.umask(0)
    try:
        await house.start()
    finally:
        os.umask(old)
    await house.serving(WIKI)
    keys = [
        path for path in house.state.rglob("*") if path.is_file() and "PRIVATE KEY" in path.read_text(errors="replace")
    ]
    said = house.said() + json.dumps(house.events()) + json.dumps(await house.status())

    assert keys
    for path in keys:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert "PRIVATE KEY" not in said
    for path in keys:
        secret = max(path.read_text().replace("\\n", "\n").splitlines(), key=len)[:40]
        assert secret not in said
    assert stat.S_IMODE((house.folder / "admin.sock").stat().st_mode) == 0o660


async def test_events_follow_across_a_restart(house: House) -> None:
    """
    `events -f` shows what happens as it happens, and goes on when the daemon was started again.
    """
    house.write(WIKI)
    await house.start()
    await house.saw("certificate.issued")
    process = await asyncio.create_subprocess_exec("python3", "-u", "-c", "pass", stdout=asyncio.subprocess.PIPE)
    await process.communicate()
    code, out, _ = await house.gatelodge("events", "--json", "--since", "1h")
    names = [json.loads(line)["event"] for line in out.splitlines()]

    assert code == 0
    assert names[0] == "daemon.started"
    assert "certificate.issued" in names

    code, out, err = await house.gatelodge("events", "--since", "yesterday")

    assert code == 2
    assert "2h" in err


async def test_events_are_followed_through_the_socket(house: House) -> None:
    """
    Who may ask the daemon, but not read its log, is shown the same; new events come as they happen.
    """
    house.write(WIKI)
    await house.start()
    await house.saw("certificate.issued")
    reader, writer = await asyncio.open_unix_connection(str(house.folder / "admin.sock"))
    writer.write(b"GET /v1/events?follow HTTP/1.1\r\nHost: gatelodge\r\n\r\n")
    async with asyncio.timeout(10):
        await reader.readuntil(b'"daemon.started"')
        await reader.readuntil(b'"certificate.issued"')
    code, out, err = await house.gatelodge("renew", WIKI, "--force")

    assert code == 0, (out, err, house.said())

    async with asyncio.timeout(20):
        await reader.readuntil(b'"certificate.renewed"')
    writer.close()
    await writer.wait_closed()


async def test_a_state_directory_of_a_newer_format_is_not_touched(house: House) -> None:
    """
    An older program stops with a message, and changes nothing.
    """
    house.write(WIKI)
    assert (await house.gatelodge("once"))[0] == 0
    (house.state / "format").write_text("999\n")
    before = {
        path: path.stat().st_mtime_ns for path in house.state.rglob("*") if path.is_file() and path.name != "lock"
    }
    for verb in ("run", "once"):
        code, _, err = await house.gatelodge(verb)

        assert code == 1
        assert "999" in err
        assert "upgrade" in err
    assert before == {
        path: path.stat().st_mtime_ns for path in house.state.rglob("*") if path.is_file() and path.name != "lock"
    }


async def test_a_full_disk_is_named_and_everything_goes_on_when_there_is_room(house: House) -> None:
    """
    The state directory on a disk that fills up: nginx goes on, the failure names the disk, and room mends it.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    house.state.mkdir()
    mounted = await asyncio.create_subprocess_exec(
        "mount", "-t", "tmpfs", "-o", "size=3m,mode=0711", "tmpfs", str(house.state)
    )
    if await mounted.wait() != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        house.write(WIKI)
        await house.start()
        await house.serving(WIKI)
        await house.saw("nginx.reloaded")
        serial, full = house.serial(WIKI), house.state / "full"
        descriptor = os.open(full, os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(descriptor, bytes(4096))
        os.close(descriptor)
        code, _, err = await house.gatelodge("renew", WIKI, "--force")

        assert code == 1
        assert "disk is full" in err
        assert house.serial(WIKI) == serial
        assert await house.get(WIKI) == 200

        full.unlink()
        code, out, err = await house.gatelodge("renew", WIKI, "--force")

        assert code == 0, (out, err)
        assert house.serial(WIKI) != serial
    finally:
        if house.daemon is not None and house.daemon.returncode is None:
            await house.kill(signal.SIGTERM)
        unmounted = await asyncio.create_subprocess_exec("umount", "-l", str(house.state))
        await unmounted.wait()
