"""
scripts/install from beginning to end: on this machine's files under a throw-away layer, with the packages that it really fetches.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.systemd.machine import REPOSITORY

import gatelodge

if TYPE_CHECKING:
    from pathlib import Path

#: Three environments are made, with all packages.
pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

#: What may be forbidden here ends with 77. Arguments: an empty folder, the checkout, what is to be done inside.
_INSIDE = """
set -eu
folder=$1 project=$2 work=$3
mount --make-rprivate / && mount -t tmpfs -o mode=755 tmpfs "$folder" || exit 77
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$folder/root" || exit 77
names=$(cat /etc/resolv.conf)
cd "$folder/root"
rm -rf etc/systemd/system opt/gatelodge* var/lib/gatelodge* etc/gatelodge usr/local/bin/gatelodge usr/sbin/policy-rc.d
mkdir -p etc/systemd/system srv/checkout tmp
rm -f etc/resolv.conf && printf '%s\\n' "$names" >etc/resolv.conf
chmod 1777 tmp
mount -t proc proc proc && mount --rbind /dev dev && mount --bind "$project" srv/checkout
fetch='python3 -m venv /tmp/probe && /tmp/probe/bin/pip download --quiet --no-deps --dest /tmp/probe click hatchling'
chroot . sh -c "$fetch" || exit 77
exec chroot . sh -euxc "cd /srv/checkout; $work"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    Where the layer is put.
    """
    if os.geteuid() != 0:
        pytest.skip("wants root")
    (tmp_path / "layer").mkdir()
    return tmp_path / "layer"


def inside(folder: Path, *commands: str) -> str:
    """
    Run commands in a machine of its own, and return what they said. The first that fails ends it.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", _INSIDE, "install", folder, REPOSITORY, "\n".join(commands)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip("no layer over this machine's files is to be had, or no packages in it")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="scripts/install knows Debian only")
@pytest.mark.parametrize("words", ["", "--external"])
def test_it_installs_upgrades_and_removes(folder: Path, words: str) -> None:
    """
    A command that works, units, a configuration that the group reads and that asks no CA; again, and there is a second environment;
    away, and what is the user's stays.
    """
    config = "/etc/gatelodge/gatelodge.toml"
    said = inside(
        folder,
        f"scripts/install {words}",
        "gatelodge --version",
        "ls /etc/systemd/system /etc/systemd/system/gatelodge.service.d",
        f"stat -c 'mode %U:%G %a' {config}",
        "echo checked $(gatelodge check 2>&1 | grep -c agree_tos)",
        f"sed -i 's/^# agree_tos/agree_tos/' {config}",
        "gatelodge check",
        *([f"scripts/install {words}", "readlink /opt/gatelodge"] if not words else []),
        "scripts/install --remove",
        f"test ! -e /opt/gatelodge && test ! -e /usr/local/bin/gatelodge && test -e {config}",
        "ls /etc/systemd/system",
        "echo removed",
    )

    assert f"gatelodge, version {gatelodge.__version__}" in said
    assert "gatelodge.service" in said
    assert ("external.conf" in said) is bool(words)
    assert ("gatelodge-nginx.path" in said) is bool(words)
    assert "mode root:gatelodge 640" in said
    assert "checked 1" in said
    assert f"{config}: good" in said
    assert words or "/opt/gatelodge-2" in said
    assert said.endswith("removed\n")
