"""
Which directories are gone at the next start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatelodge.stores.mounts import passing

DISK = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"
DOCKER = (
    "500 1 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/A,"
    "upperdir=/var/lib/docker/overlay2/x/diff,workdir=/w"
)
KUBERNETES = "500 1 0:50 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/1/fs"
VOLUME = "501 500 8:1 /volumes/a /data rw - ext4 /dev/sda1 rw"
RUN = "23 22 0:20 / /run rw,nosuid shared:2 - tmpfs tmpfs rw,size=1k"


@pytest.mark.parametrize(
    ("mounts", "marks", "directory", "said"),
    [
        ([DISK], [], "/var/lib/gatelodge", None),
        ([DISK, RUN], [], "/run/gatelodge", "tmpfs at /run, in memory"),
        ([DISK, RUN], [], "/runner/gatelodge", None),
        ([DISK, RUN, "24 23 8:1 /x /run/kept rw - ext4 /dev/sda1 rw"], [], "/run/kept/gatelodge", None),
        ([DISK, "24 22 0:9 / /data rw - ramfs none rw"], [], "/data", "ramfs at /data, in memory"),
        ([DISK, VOLUME, "502 500 0:9 / /data rw - tmpfs none rw"], [], "/data/a", "tmpfs at /data, in memory"),
        ([DISK, r"24 22 0:9 / /my\040data rw - tmpfs none rw"], [], "/my data/a", "tmpfs at /my data, in memory"),
        ([DOCKER], [".dockerenv"], "/var/lib/gatelodge", "the container's own layer"),
        ([DOCKER], [], "/var/lib/gatelodge", "the container's own layer"),
        ([KUBERNETES], [], "/var/lib/gatelodge", "the container's own layer"),
        (["500 1 0:50 / / rw - fuse.fuse-overlayfs f rw"], ["run/.containerenv"], "/etc/x", "the container's own layer"),
        (["500 1 0:50 /var/lib/docker/vfs/dir/1f / rw - ext4 /dev/sda1 rw"], [], "/etc/x", "the container's own layer"),
        # A machine that was made from a container's image.
        ([DISK], [".dockerenv"], "/var/lib/gatelodge", None),
        ([DOCKER, VOLUME], [".dockerenv"], "/data/gatelodge", None),
        # A router whose writable layer is in flash memory, and a live system whose is not.
        (["22 1 0:1 / / rw - overlay o rw,lowerdir=/,upperdir=/overlay/upper", "23 22 31:5 / /overlay rw - jffs2 /dev/mtd rw"], [], "/etc/x", None),
        (["22 1 0:1 / / rw - overlay o rw,lowerdir=/,upperdir=/cow/upper", "23 22 0:3 / /cow rw - tmpfs none rw"], [], "/etc/x", "overlay at /, over tmpfs at /cow, in memory"),
        (["22 1 0:1 / / rw - overlay o rw,lowerdir=/,upperdir=/upper"], [], "/etc/x", None),
        ([], [], "/etc/x", None),
        (["", "1 2 3", "22 1 8:1 / / rw"], [], "/etc/x", None),
    ],
)  # fmt: skip
def test_what_a_directory_lies_on(
    tmp_path: Path, mounts: list[str], marks: list[str], directory: str, said: str | None
) -> None:
    """
    By the mount that holds it, whatever kind of container or machine this is.
    """
    for name in ["proc/self/mountinfo", *marks]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("\n".join(mounts))
    assert passing(directory, root=tmp_path) == said


def test_without_a_list_of_mounts_nothing_is_said(tmp_path: Path) -> None:
    """
    As on another kernel.
    """
    assert passing("/etc", root=tmp_path) is None


def test_a_link_is_followed() -> None:
    """
    And the kernel's own list is read: its shared memory is memory.
    """
    if "/dev/shm tmpfs" not in Path("/proc/self/mounts").read_text():
        pytest.skip("this machine has no /dev/shm")
    assert passing("/proc/self/root/dev/shm/x") == "tmpfs at /dev/shm, in memory"


def test_a_tmpfs_is_recognised_where_one_can_be_mounted(tmp_path: Path) -> None:
    """
    In a mount namespace of its own, where this user may make one.
    """
    script = f"import sys; sys.path.insert(0, sys.argv[1]); from gatelodge.stores.mounts import passing; print(passing('{tmp_path}/state'))"
    daemon = str(Path(__file__).parents[2] / "daemon")
    command = f'mount -t tmpfs none "{tmp_path}" && exec "{sys.executable}" -c "{script}" "{daemon}"'
    alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces for this user here, or in a chroot")
    done = subprocess.run([*alone, "sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"tmpfs at {tmp_path}, in memory"
