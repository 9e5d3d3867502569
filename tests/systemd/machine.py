"""
A machine for the service: this one's files under a throw-away layer, with a systemd of its own as init and a network of its own.

What it shows no other way: that the unit's sandbox lets the daemon and nginx work, and what a stop, a restart and a crash leave
running. It wants root and namespaces; where they are not to be had, it says so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]

INIT = Path("/lib/systemd/systemd")

_CONFIG = """\
[sites."nas.lan"]
upstream = "http://127.0.0.1:9"
tls = "local"
"""

#: The words that begin a gatelodge of this checkout. It may lie in somebody's home, which the service must not see.
_PROGRAM = """\
#!/bin/sh
export PYTHONPATH=/opt/project/daemon:/opt/packages
{libraries}
exec {python} -m gatelodge "$@"
"""

#: What may be forbidden here ends with 77. Arguments: an empty folder, a name, the checkout, Python's folder, its packages.
_PREPARE = """
set -eu
folder=$1 name=$2 project=$3 python=$4 packages=$5
mount -t tmpfs -o mode=755 tmpfs "$folder" || exit 77
cd "$folder"
mkdir upper work root groups
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay root || exit 77
mount -t cgroup2 cgroup2 groups || exit 77
mkdir "groups/$name" && echo $$ >"groups/$name/cgroup.procs" || exit 77
umount groups
cd root
rm -rf etc/systemd/system opt/gatelodge var/lib/gatelodge etc/gatelodge run/gatelodge
mkdir -p opt/gatelodge/bin opt/project opt/python opt/packages etc/systemd/system etc/gatelodge
: >etc/fstab
cp -a "$folder.in/." .
mount --bind "$project" opt/project && mount --bind "$python" opt/python && mount --bind "$packages" opt/packages
chroot . getent passwd gatelodge >/dev/null || chroot . useradd --system --user-group --no-create-home gatelodge
chgrp gatelodge etc/gatelodge/gatelodge.toml 2>/dev/null || chroot . chgrp gatelodge /etc/gatelodge/gatelodge.toml
exec unshare --cgroup sh -euc '
  mount --rbind . . && cd "$PWD"
  mount -t proc proc proc && mount -t sysfs -o ro sysfs sys && mount -t cgroup2 cgroup2 sys/fs/cgroup || exit 77
  mount --bind proc/sys proc/sys && mount -o remount,bind,ro proc/sys
  mount -t tmpfs -o mode=755 tmpfs dev
  for each in null zero full random urandom tty; do : >dev/$each; mount --bind /dev/$each dev/$each; done
  mkdir dev/pts dev/shm
  mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
  mount -t tmpfs tmpfs dev/shm
  ln -s pts/ptmx dev/ptmx && ln -s /proc/self/fd dev/fd
  mount -t tmpfs -o mode=755 tmpfs run && mkdir run/lock
  mount -t tmpfs -o mode=1777 tmpfs tmp
  # It must change nothing that is not its own: settings and modules of the kernel, the clock.
  exec chroot . setpriv --bounding-set=-sys_module,-sys_time,-sys_boot,-sys_rawio,-syslog \\
    env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=basic.target
'
"""


class NoMachineError(Exception):
    """
    It cannot be had here, and why.
    """


class Machine:
    """
    A booted machine, seen from inside.
    """

    def __init__(self, init: int) -> None:
        self._init = init

    def run(self, *words: str, check: bool = True) -> str:
        """
        Run a command there and return what it says.
        """
        enter = ["nsenter", "-t", str(self._init), "-m", "-p", "-i", "-u", "-n", "-C", "-r", "-w", "--", "env", "-i"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        done = subprocess.run(
            [*enter, path, "LANG=C.UTF-8", *words], capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: {done.stdout}{done.stderr}\n{self.log()}")
        return done.stdout.strip()

    def log(self) -> str:
        """
        Return what the service wrote, and systemd about it.
        """
        return self.run("journalctl", "--no-pager", "--output", "cat", "--unit", "gatelodge", check=False)

    def property(self, name: str) -> str:
        """
        Return a property of the service.
        """
        return self.run("systemctl", "show", "--property", name, "--value", "gatelodge")

    def pids(self, title: str) -> list[str]:
        """
        Return the processes whose command line has a text, in order.
        """
        rows = [row.split(None, 1) for row in self.run("ps", "-eo", "pid=,args=").splitlines()]
        return [pid for pid, words in rows if title in words and " ps " not in f" {words} "]

    def write(self, path: str, text: str) -> None:
        """
        Write a file there.
        """
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")"; printf %s "$2" >"$1"', "sh", path, text)

    def until(self, condition: object, *, seconds: float = 30) -> None:
        """
        Return once a condition holds.
        """
        deadline = time.monotonic() + seconds
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)


def own_mounts() -> list[str]:
    """
    Return the words that run a program with mounts of its own, which nobody else sees.

    Raises:
        NoMachineError: this place lets nobody have any.
    """
    # In a chroot unshare(1) cannot make them private, and need not where none is shared.
    private = " shared:" not in Path("/proc/self/mountinfo").read_text()
    words = ["unshare", "--mount", *(["--propagation", "unchanged"] if private else [])]
    done = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoMachineError(f"this place lets nobody mount: {done.stderr.strip()}")
    return words


@contextlib.contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """
    Boot a machine with the service installed and not started, and end it with all that runs in it.

    Args:
        folder: an existing folder, of which another name may begin.

    Raises:
        NoMachineError: this place lets nobody do it.
    """
    wanted = ("unshare", "nsenter", "setpriv", "useradd", "systemctl", "dbus-daemon", "ps", "curl")
    missing = [each for each in wanted if shutil.which(each, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing or not INIT.exists():
        raise NoMachineError(f"not installed: {', '.join(missing) or INIT}")
    if os.geteuid() != 0:
        raise NoMachineError("only root can boot a machine")
    spaces = [*own_mounts(), "--pid", "--ipc", "--uts", "--net", "--fork", "--kill-child"]
    _furnish(Path(f"{folder}.in"))
    name = f"gatelodge-{os.getpid()}"
    words = [str(folder), name, str(REPOSITORY), sys.base_prefix, sysconfig.get_path("purelib")]
    with (folder.parent / "boot.log").open("w+") as said:
        outer = subprocess.Popen(
            [*spaces, "--", "sh", "-c", _PREPARE, "prepare", *words],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
        try:
            yield _await(outer, folder.parent / "boot.log")
        finally:
            outer.kill()
            outer.wait()
            _tidy(name)


def _furnish(inside: Path) -> None:
    """
    Lay out what the machine has and this one has not.
    """
    units = inside / "etc/systemd/system"
    units.mkdir(parents=True)
    shutil.copy(REPOSITORY / "systemd/gatelodge.service", units)
    config = inside / "etc/gatelodge/gatelodge.toml"
    config.parent.mkdir(parents=True)
    config.write_text(_CONFIG)
    config.chmod(0o640)
    program = inside / "opt/gatelodge/bin/gatelodge"
    program.parent.mkdir(parents=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # The one of the distribution works where it stands only.
    packaged = sys.base_prefix == "/usr"
    program.write_text(
        _PROGRAM.format(
            python=f"/usr/bin/{version}" if packaged else f"/opt/python/bin/{version}",
            libraries="" if packaged else "export LD_LIBRARY_PATH=/opt/python/lib",
        )
    )
    program.chmod(0o755)


def _await(outer: subprocess.Popen[bytes], log: Path) -> Machine:
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (status := outer.poll()) is not None:
            if status == 77:
                raise NoMachineError(f"this place lets nobody boot one: {log.read_text().strip()}")
            raise AssertionError(f"the machine did not boot ({status}): {log.read_text()}")
        init = children.read_text().split()
        if init and "systemd" in Path(f"/proc/{init[0]}/cmdline").read_text():
            machine = Machine(int(init[0]))
            if machine.run("systemctl", "is-system-running", check=False) in ("running", "degraded"):
                return machine
        time.sleep(0.05)
    raise AssertionError(f"the machine did not boot in time: {log.read_text()}")


def _tidy(name: str) -> None:
    """
    Remove the control groups that the machine leaves behind, once its processes are gone.
    """
    script = 'mount -t cgroup2 cgroup2 /mnt; [ ! -d "/mnt/$1" ] || find "/mnt/$1" -depth -type d -exec rmdir {} +'
    deadline = time.monotonic() + 10
    while subprocess.run([*own_mounts(), "sh", "-c", script, "sh", name], capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline, f"control groups {name} stay behind"
        time.sleep(0.05)
