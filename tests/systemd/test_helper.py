"""
The helper's units: what systemd says of them, and the whole of it under a real systemd: Debian's nginx with a master that is root, the
daemon without any power, and the helper in its sandbox between them.
"""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from tests.systemd.machine import REPOSITORY, Machine, NoMachineError, booted
from tests.systemd.test_units import UNITS, analyze, root, settings, systemd_version  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("gatelodge-nginx.service", "gatelodge-nginx.path")
CONFIG = "/etc/gatelodge/gatelodge.toml"
STATE, KEEP, RUN = "/var/lib/gatelodge", "/var/lib/gatelodge-nginx", "/run/gatelodge-nginx"

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def install(folder: Path) -> None:
    """
    Put the units in place, and the program that they start.
    """
    (folder / "etc/systemd/system").mkdir(parents=True)
    for name in NAMES:
        shutil.copy(UNITS / name, folder / "etc/systemd/system")
    (folder / "opt/gatelodge/bin/python").touch(mode=0o755)


@needs_analyze
@pytest.mark.parametrize("name", NAMES)
def test_systemd_has_nothing_to_say_of_the_helpers_units(root: Path, name: str) -> None:  # noqa: F811 - a fixture
    """
    `systemd-analyze verify` without a word.
    """
    install(root)
    done = analyze("verify", f"--root={root}", name)
    assert (done.returncode, done.stderr) == (0, "")


@needs_analyze
def test_little_is_open_for_a_program_of_roots(root: Path) -> None:  # noqa: F811 - a fixture
    """
    By `systemd-analyze security`; and the docs state the figure. Other systemds count a little differently.
    """
    install(root)
    said = analyze("security", "--offline=true", "--no-pager", f"--root={root}", NAMES[0]).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    stated = re.search(
        r"`systemd-analyze security`: ([\d.]+)", (REPOSITORY / "docs/helper.md").read_text(encoding="utf-8")
    )

    assert found, said
    assert stated
    assert float(found[1]) <= 2.5, said
    assert abs(float(found[1]) - float(stated[1])) < (0.05 if systemd_version() == 252 else 0.3), said


def test_the_daemon_decides_nothing_of_what_the_helper_believes() -> None:
    """
    No variable and no file of the daemon's is read by the unit; Python starts without what a user could slip it (-I).
    """
    lines = settings(UNITS / NAMES[0])
    assert "ExecStart=/opt/gatelodge/bin/python -I -m gatelodge.rootside --once --user gatelodge" in lines
    assert not [each for each in lines if each.startswith(("Environment", "EnvironmentFile", "PassEnvironment"))]


#: What stands for the environment's Python: it lies elsewhere in this machine, and knows not of itself where its packages are.
_PYTHON = """\
#!/bin/sh
{libraries}
[ "$1 $2 $3" = "-I -m gatelodge.rootside" ] || exit 99
shift 3
exec {python} -I -c 'import runpy, sys
sys.path[:0] = ["/opt/project/daemon", "/opt/packages"]
runpy.run_module("gatelodge.rootside", run_name="__main__", alter_sys=True)' "$@"
"""

_SITE = '[sites."{host}"]\nupstream = "http://127.0.0.1:9"\ntls = "local"\n'


@pytest.fixture(scope="module")
def booted_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """
    A machine with nginx as Debian starts it, our line in its configuration, and the units of both halves.
    """
    folder = tmp_path_factory.mktemp("systemd") / "machine"
    folder.mkdir()
    try:
        with booted(folder) as found:
            _furnish(found)
            yield found
    except NoMachineError as error:
        pytest.skip(str(error))


def _furnish(machine: Machine) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packaged = sys.base_prefix == "/usr"
    machine.write(
        "/opt/gatelodge/bin/python",
        _PYTHON.format(
            python=f"/usr/bin/{version}" if packaged else f"/opt/python/bin/{version}",
            libraries="" if packaged else "export LD_LIBRARY_PATH=/opt/python/lib",
        ),
    )
    machine.run("chmod", "755", "/opt/gatelodge/bin/python")
    for name in NAMES:
        machine.write(f"/etc/systemd/system/{name}", (UNITS / name).read_text(encoding="utf-8"))
    drop_in = "gatelodge.service.d/external.conf"
    machine.write(f"/etc/systemd/system/{drop_in}", (UNITS / drop_in).read_text(encoding="utf-8"))
    machine.run("sh", "-c", "rm -rf /var/lib/gatelodge-nginx; mkdir -p /etc/nginx/conf.d /var/log/nginx")
    machine.write("/etc/nginx/conf.d/zz-gatelodge.conf", f"include {KEEP}/current/http.con[f];\n")
    machine.write("/etc/nginx/conf.d/own.conf", 'server { listen 80 default_server; return 200 "his own"; }\n')
    machine.run("rm", "-f", "/etc/nginx/sites-enabled/default")
    write(machine, "nas.lan")
    machine.run("systemctl", "daemon-reload")


def write(machine: Machine, *hosts: str) -> None:
    """
    Write our configuration.
    """
    sites = "".join(_SITE.format(host=host) for host in hosts)
    machine.write(CONFIG, f'[nginx]\nmode = "external"\nreload = "helper"\nreload_interval = "1s"\n{sites}')


@pytest.fixture
def machine(booted_machine: Machine) -> Iterator[Machine]:
    """
    That machine, with nothing running and nothing served before.
    """
    write(booted_machine, "nas.lan")
    yield booted_machine
    # The daemon first: what it has begun it ends, and wants an answer for.
    booted_machine.run("systemctl", "stop", "gatelodge", check=False)
    booted_machine.run("systemctl", "stop", *NAMES, "nginx", check=False)
    booted_machine.run("systemctl", "reset-failed", check=False)
    booted_machine.run("rm", "-rf", KEEP, RUN, STATE)


def helpers_log(machine: Machine) -> str:
    """
    Return what the helper wrote, and systemd about it.
    """
    return machine.run("journalctl", "--no-pager", "--output", "cat", "--unit", "gatelodge-nginx", check=False)


def answer(machine: Machine, host: str) -> str:
    """
    Return what a visitor of a site gets.
    """
    return machine.run(
        "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "--resolve", f"{host}:443:127.0.0.1", f"https://{host}/",
        check=False,
    )  # fmt: skip


@pytest.mark.live
def test_a_root_nginx_serves_a_daemon_that_is_nobody(machine: Machine) -> None:
    """
    From nothing to a site, and to another; nothing in a sandbox was forbidden that was wanted, and what he had goes on.
    """
    machine.run("systemctl", "start", "nginx", "gatelodge-nginx.path", "gatelodge-nginx.service", "gatelodge")
    machine.until(lambda: answer(machine, "nas.lan") == "502")
    write(machine, "nas.lan", "wiki.lan")
    machine.run("systemctl", "reload", "gatelodge")
    machine.until(lambda: answer(machine, "wiki.lan") == "502")
    said = helpers_log(machine) + machine.log()

    assert machine.run("curl", "-s", "http://127.0.0.1/") == "his own"
    master = machine.run("cat", "/run/nginx.pid")
    assert machine.run("stat", "-c", "%U", f"/proc/{master}") == "root"
    daemon = machine.run("systemctl", "show", "--property", "MainPID", "--value", "gatelodge")
    assert "CapEff:\t0000000000000000" in machine.run("cat", f"/proc/{daemon}/status")
    for word in ("ermission denied", "not permitted", "ead-only", "Traceback", "internal", "start-limit"):
        assert word not in said, said
    assert machine.run("stat", "-c", "%U %a", f"{RUN}/answer", f"{RUN}/about") == "root 640\nroot 644"
    assert machine.run("readlink", f"{STATE}/nginx/current", check=False) == ""


@pytest.mark.live
def test_an_nginx_that_comes_later_is_given_what_there_is(machine: Machine) -> None:
    """
    It was not there when the daemon asked: the daemon says so, and serves when it is.
    """
    machine.run("systemctl", "start", "gatelodge-nginx.path", "gatelodge-nginx.service", "gatelodge")
    machine.until(lambda: "cannot be reloaded" in machine.log())
    assert ": absent: " in helpers_log(machine)
    machine.run("systemctl", "start", "nginx")
    machine.until(lambda: answer(machine, "nas.lan") == "502", seconds=90)


@pytest.mark.live
def test_after_a_start_of_the_machine_it_is_known_what_is_current(machine: Machine) -> None:
    """
    /run is empty then: the helper tells of nginx by itself, and the copies are where they were.
    """
    machine.run("systemctl", "start", "nginx", "gatelodge-nginx.path", "gatelodge-nginx.service", "gatelodge")
    machine.until(lambda: answer(machine, "nas.lan") == "502")
    before = machine.run("readlink", f"{KEEP}/current")
    machine.run("systemctl", "stop", "gatelodge", "nginx", "gatelodge-nginx.path")
    machine.run("rm", "-rf", RUN)
    machine.run("systemctl", "start", "gatelodge-nginx.service", "nginx", "gatelodge-nginx.path", "gatelodge")
    machine.until(lambda: answer(machine, "nas.lan") == "502")

    assert machine.run("readlink", f"{KEEP}/current") == before
    number = before.split("/")[1].split("-")[0]
    assert f"\ncurrent {number}\n" in machine.run("cat", f"{RUN}/about")


@pytest.mark.live
def test_no_request_is_lost_and_nonsense_stops_nothing(machine: Machine) -> None:
    """
    Requests as fast as they can be written, by the daemon's user: the last one has an answer. A trap in the place of one leaves the
    path unit waiting for the next.
    """
    machine.run("systemctl", "start", "nginx", "gatelodge-nginx.path", "gatelodge-nginx.service")
    box = f"{STATE}/nginx/mailbox"
    machine.run("install", "-d", "-o", "gatelodge", "-g", "gatelodge", "-m", "700", STATE, f"{STATE}/nginx", box)
    ask = 'cd "$1"; for n in $3; do printf "nonce %s\\ntree none\\nstate %s\\n" $n "$2" >.r; mv .r request; done'
    as_daemon = ("runuser", "-u", "gatelodge", "--")
    machine.run(*as_daemon, "sh", "-c", ask, "sh", box, STATE, "a1 a2 a3 a4 a5 a6 a7 a8 a9")
    machine.until(lambda: "nonce a9" in machine.run("cat", f"{RUN}/answer", check=False))
    machine.run(*as_daemon, "sh", "-c", 'mkfifo "$1/.p"; mv "$1/.p" "$1/request"', "sh", box)
    machine.until(lambda: machine.run("ls", "-A", box) == "")
    machine.run(*as_daemon, "sh", "-c", ask, "sh", box, STATE, "b1")
    machine.until(lambda: "nonce b1" in machine.run("cat", f"{RUN}/answer", check=False))

    assert machine.run("ls", "-A", box) == ""
    assert machine.run("systemctl", "is-active", "gatelodge-nginx.path") == "active"
