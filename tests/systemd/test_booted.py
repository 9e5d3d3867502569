"""
The service under a real systemd, in all of its sandbox, with nginx on ports 80 and 443: started, reloaded, restarted, stopped,
killed and hung.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.systemd.machine import REPOSITORY, Machine, NoMachineError, booted

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live

DROP_INS = "/run/systemd/system/gatelodge.service.d"
MASTER, DAEMON = "nginx: master process", "-m gatelodge run"
CONFIG = "/etc/gatelodge/gatelodge.toml"


@pytest.fixture(scope="module")
def booted_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """
    A machine of its own.
    """
    folder = tmp_path_factory.mktemp("systemd") / "machine"
    folder.mkdir()
    try:
        with booted(folder) as found:
            yield found
    except NoMachineError as error:
        pytest.skip(str(error))


@pytest.fixture
def machine(booted_machine: Machine) -> Iterator[Machine]:
    """
    That machine, with the service as it is shipped and not running.
    """
    machine = booted_machine
    config = machine.run("cat", CONFIG)
    yield machine
    machine.run("systemctl", "stop", "gatelodge", check=False)
    machine.run("systemctl", "kill", "--signal", "KILL", "gatelodge", check=False)
    machine.until(lambda: not machine.pids(MASTER))
    machine.run("rm", "-rf", DROP_INS)
    machine.write(CONFIG, config)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "reset-failed", "gatelodge", check=False)


def status(machine: Machine, port: int = 443) -> str:
    """
    Return what a visitor of the site gets.
    """
    scheme = "https" if port == 443 else "http"
    return machine.run(
        "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "--resolve", f"nas.lan:{port}:127.0.0.1",
        f"{scheme}://nas.lan/", check=False,
    )  # fmt: skip


def change(machine: Machine, *lines: str) -> None:
    """
    Add a drop-in to the service.
    """
    machine.write(f"{DROP_INS}/test.conf", "\n".join(["[Service]", *lines, ""]))
    machine.run("systemctl", "daemon-reload")


def test_it_starts_and_serves_without_root(machine: Machine) -> None:
    """
    When `systemctl start` returns, nginx serves on 80 and 443, nobody is root, and nothing was forbidden that was wanted.
    """
    machine.run("systemctl", "start", "gatelodge")

    # The upstream is not there; the gate is.
    assert (status(machine), status(machine, 80)) in (("502", "301"), ("502", "302"))
    assert machine.property("StatusText").startswith("1 site, 1 certificate; next renewal nas.lan in ")

    assert machine.property("WatchdogUSec") == "2min"

    owners = set(machine.run("ps", "-o", "user:20=", *machine.run("pgrep", "-f", "nginx|gatelodge").split()).split())

    assert owners == {"gatelodge"}
    assert machine.run("stat", "-c", "%U %a", "/var/lib/gatelodge") == "gatelodge 711"
    assert machine.run("stat", "-c", "%U:%G %a", "/run/gatelodge") == "gatelodge:gatelodge 750"

    log = machine.log() + machine.run("cat", "/var/lib/gatelodge/log/error.log")

    for word in ("not permitted", "ermission denied", "[alert]", "[emerg]", '"level": "error"', '"level": "warning"'):
        assert word not in log, log


#: Runs a CA that looks for tokens on port 80, until it is killed.
_CA = """
import asyncio, pathlib
from gatelodge.demo import pebble

async def main():
    folder = pathlib.Path("/srv/ca")
    async with pebble.running(folder, http_port=80) as ca:
        (folder / "directory.new").write_text(ca.directory)
        (folder / "directory.new").rename(folder / "directory")
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_from_nothing_to_a_certificate_of_a_ca(machine: Machine) -> None:
    """
    By http-01 on the real port 80: `systemctl start`, and port 443 shows a certificate of that CA.
    """
    python = machine.run("sed", 's/ -m gatelodge "$@"/ "$@"/', "/opt/gatelodge/bin/gatelodge")
    machine.write("/srv/python", python + "\n")
    machine.run("install", "-d", "-m", "755", "/srv/ca")
    machine.run("systemd-run", "--unit=ca", "--collect", "sh", "/srv/python", "-c", _CA)
    machine.until(lambda: machine.run("cat", "/srv/ca/directory", check=False))
    directory = machine.run("cat", "/srv/ca/directory")
    machine.run("cp", "/srv/ca/pebble.pem", "/etc/gatelodge/ca.pem")
    acme = f'[acme]\nagree_tos = true\nca = "test"\n[acme.cas.test]\ndirectory = "{directory}"\nroot = "/etc/gatelodge/ca.pem"\n'
    machine.write(
        CONFIG, f'{acme}[nginx]\nreload_interval = "1s"\n[sites]\n"nas.example.test" = "http://127.0.0.1:9"\n'
    )
    machine.run("systemctl", "start", "gatelodge")

    machine.until(lambda: "certificate.issued" in machine.log())
    seen = "curl -skv --resolve nas.example.test:443:127.0.0.1 https://nas.example.test/ 2>&1 | grep issuer:"
    machine.until(lambda: "Pebble" in machine.run("sh", "-c", seen, check=False))
    assert "certificate.failed" not in machine.log()
    machine.run("systemctl", "stop", "ca")


def test_a_stop_stops_nginx_and_a_start_follows_at_once(machine: Machine) -> None:
    """
    However often: an nginx that was told to stop did not end by itself, and is not held back.
    """
    for _ in range(4):
        machine.run("systemctl", "start", "gatelodge")

        assert status(machine) == "502"

        machine.run("systemctl", "stop", "gatelodge")

        assert machine.pids(MASTER) == machine.pids(DAEMON) == []
        assert machine.property("Result") == "success"
    assert "nginx.exited" not in machine.log()


def test_a_restart_leaves_nginx_running(machine: Machine) -> None:
    """
    An upgrade drops nothing: the next daemon takes up the same nginx.
    """
    machine.run("systemctl", "start", "gatelodge")
    master, daemon = machine.pids(MASTER), machine.pids(DAEMON)
    for _ in range(3):
        machine.run("systemctl", "restart", "gatelodge")

        assert machine.pids(MASTER) == master != []
    assert machine.pids(DAEMON) != daemon
    assert status(machine) == "502"


def test_a_restart_without_a_message_bus_stops_nginx(machine: Machine) -> None:
    """
    The job cannot be asked for then. nginx ends, and is there again: nothing is left over that nobody minds.
    """
    machine.run("systemctl", "start", "gatelodge")
    master = machine.pids(MASTER)
    machine.run("systemctl", "stop", "dbus.socket", "dbus.service")
    try:
        machine.run("systemctl", "restart", "gatelodge")
    finally:
        machine.run("systemctl", "start", "dbus.socket")

    assert len(machine.pids(MASTER)) == 1
    assert machine.pids(MASTER) != master
    assert status(machine) == "502"


def test_usr1_ends_the_daemon_and_leaves_nginx(machine: Machine) -> None:
    """
    By hand, as `run --leave-nginx` ends; the next start takes nginx up.
    """
    machine.run("systemctl", "start", "gatelodge")
    master = machine.pids(MASTER)
    machine.run("systemctl", "kill", "--signal", "USR1", "--kill-whom", "main", "gatelodge")
    machine.until(lambda: machine.property("ActiveState") == "inactive")

    assert machine.pids(MASTER) == master
    assert status(machine) == "502"

    machine.run("systemctl", "start", "gatelodge")

    assert machine.pids(MASTER) == master


def test_a_killed_daemon_comes_back_to_the_same_nginx(machine: Machine) -> None:
    """
    Kill -9: systemd starts it again, and nginx goes on meanwhile.
    """
    change(machine, "RestartSec=100ms")
    machine.run("systemctl", "start", "gatelodge")
    master, daemon = machine.pids(MASTER), machine.pids(DAEMON)
    machine.run("kill", "-KILL", *daemon)

    assert status(machine) == "502"

    machine.until(lambda: machine.property("ActiveState") == "active")

    assert machine.pids(DAEMON) not in ([], daemon)
    assert machine.pids(MASTER) == master
    assert machine.property("NRestarts") == "1"


def test_a_hanging_daemon_is_ended_and_started_again(machine: Machine) -> None:
    """
    No sign of life comes from a process that stands still. nginx does not notice.
    """
    change(machine, "WatchdogSec=2s", "RestartSec=100ms", "LimitCORE=0")
    machine.run("systemctl", "start", "gatelodge")
    master, (daemon,) = machine.pids(MASTER), machine.pids(DAEMON)
    machine.until(lambda: machine.property("WatchdogTimestampMonotonic") not in ("", "0"))
    machine.run("kill", "-STOP", daemon)
    machine.until(lambda: machine.pids(DAEMON) not in ([], [daemon]))

    assert "Watchdog timeout" in machine.log()
    assert machine.pids(MASTER) == master
    assert status(machine) == "502"


def test_a_reload_reads_the_configuration_again(machine: Machine) -> None:
    """
    A wrong one is refused, the service goes on and says so; a right one is taken.
    """
    machine.run("systemctl", "start", "gatelodge")
    config = machine.run("cat", CONFIG)
    machine.write(CONFIG, config + "\nnonsense = 1\n")
    machine.run("systemctl", "reload", "gatelodge")
    machine.until(lambda: machine.property("StatusText").startswith("a changed configuration was refused"))

    assert machine.property("ActiveState") == "active"

    machine.write(CONFIG, f'{config}\n[sites."two.lan"]\nupstream = "http://127.0.0.1:9"\ntls = "local"\n')
    machine.run("systemctl", "reload", "gatelodge")
    machine.until(lambda: machine.property("StatusText").startswith("2 sites, 2 certificates"))


def test_a_reload_is_waited_for(machine: Machine) -> None:
    """
    With the drop-in for systemd 253 and newer: when `systemctl reload` returns, the file was read, and the status says so.
    """
    if int(machine.run("systemctl", "--version").split()[1]) < 253:
        pytest.skip("this systemd does not know notify-reload; 253 does")
    shipped = (REPOSITORY / "systemd/gatelodge.service.d/notify-reload.conf").read_text()
    machine.write(f"{DROP_INS}/notify-reload.conf", shipped)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "gatelodge")
    for _ in range(5):
        machine.write(CONFIG, "nonsense = 1\n")
        machine.run("systemctl", "reload", "gatelodge")

        assert machine.property("StatusText").startswith("a changed configuration was refused")

        machine.write(CONFIG, '[sites]\n"two.lan" = { upstream = "http://127.0.0.1:9", tls = "local" }\n')
        machine.run("systemctl", "reload", "gatelodge")

        assert not machine.property("StatusText").startswith("a changed configuration was refused")
        assert machine.property("ActiveState") == "active"


def test_a_wrong_configuration_at_the_start_is_not_tried_again(machine: Machine) -> None:
    """
    Nobody mends it by waiting; the log names the mistake.
    """
    machine.write(CONFIG, "nonsense = 1\n")
    machine.run("systemctl", "start", "gatelodge", check=False)

    assert machine.property("ActiveState") == "failed"
    assert machine.property("ExecMainStatus") == "2"
    assert "nonsense" in machine.log()


def test_a_members_status_is_answered(machine: Machine) -> None:
    """
    Who is in the group may ask; others may not.
    """
    machine.run("systemctl", "start", "gatelodge")
    asked = ["setpriv", "--reuid", "nobody", "--regid", "nogroup"]
    place = ["/run/gatelodge/admin.sock", "http://gate/v1/status"]
    member = machine.run(*asked, "--groups", "gatelodge", "curl", "-s", "--unix-socket", *place)

    assert '"nas.lan"' in member
    assert machine.run(*asked, "--clear-groups", "curl", "-s", "--unix-socket", *place, check=False) == ""


def test_a_daemon_that_starts_no_nginx_lives_with_still_less(machine: Machine) -> None:
    """
    External mode, with the drop-in for it: without any capability the daemon starts, writes what it would have served, gives it to
    nginx's group, and stops with everything it started.
    """
    machine.run("mkdir", "-p", DROP_INS)
    shipped = (REPOSITORY / "systemd/gatelodge.service.d/external.conf").read_text()
    machine.write(f"{DROP_INS}/external.conf", shipped)
    change(machine, "SupplementaryGroups=www-data")
    config = machine.run("cat", CONFIG)
    machine.write(CONFIG, f'[nginx]\nmode = "external"\nreload = "mailbox"\ngroup = "www-data"\n{config}')
    machine.run("systemctl", "start", "gatelodge")

    assert "CapEff:\t0000000000000000" in machine.run("cat", f"/proc/{machine.pids(DAEMON)[0]}/status")
    machine.until(lambda: "certificate.issued" in machine.log())
    assert machine.run("stat", "-c", "%G %a", "/var/lib/gatelodge/nginx").startswith("www-data ")
    assert machine.pids(MASTER) == []
    for word in ("not permitted", "ermission denied", "internal"):
        assert word not in machine.log()

    machine.run("systemctl", "stop", "gatelodge")

    assert machine.property("Result") == "success"


@pytest.mark.parametrize("drop_in", ["", "external.conf"])
def test_programs_of_the_user_and_libraries_live_in_the_sandbox(machine: Machine, drop_in: str) -> None:
    """
    What the daemon loads only now and then works there too: foreign functions (ctypes) under MemoryDenyWriteExecute, the addresses
    of interfaces, TLS; and a program that a person names, which may write in the state directory and nowhere else.
    """
    program = (
        "import ctypes, ifaddr, ssl, subprocess, cryptography.hazmat.primitives.asymmetric.rsa as rsa\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)()\n"
        "rsa.generate_private_key(65537, 2048)\n"
        "ssl.create_default_context()\n"
        "print([each.nice_name for each in ifaddr.get_adapters()])\n"
        "print(subprocess.run(['sh', '-c', 'echo x >/var/lib/gatelodge/mine && echo state; echo x >/etc/theirs || echo no'],"
        " capture_output=True, text=True).stdout.split())\n"
    )
    if drop_in:
        machine.write(f"{DROP_INS}/{drop_in}", (REPOSITORY / "systemd/gatelodge.service.d" / drop_in).read_text())
    words = machine.run("tail", "-n", "1", "/opt/gatelodge/bin/gatelodge").split()
    machine.write("/opt/gatelodge/probe.py", program)
    machine.write(
        "/opt/gatelodge/bin/probe",
        machine.run("head", "-n", "-1", "/opt/gatelodge/bin/gatelodge")
        + f"\nexec {words[1]} /opt/gatelodge/probe.py\n",
    )
    machine.run("chmod", "755", "/opt/gatelodge/bin/probe")
    change(machine, "Type=oneshot", "ExecStart=", "ExecStart=/opt/gatelodge/bin/probe", "Restart=no")
    machine.run("systemctl", "start", "gatelodge")
    said = machine.log().splitlines()

    assert "['lo']" in said
    assert "['state', 'no']" in said
