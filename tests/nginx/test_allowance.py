"""
How much of a machine an nginx may use, where a container or a service is given less than all of it.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest
from tests.nginx.trees import desired, nginx, observed

from gatelodge.nginx import machine
from gatelodge.nginx.writing.render import render

if TYPE_CHECKING:
    from pathlib import Path

MINE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("megabytes", "descriptors", "connections"),
    [
        (1024, 524288, 8192),  # a Raspberry Pi
        (65536, 1048576, 16384),  # a server: more than that no gate of a house needs
        (65536, 1024, 480),  # a service without LimitNOFILE: two for each, and some for files
        (4, 1048576, 64),
        (65536, 64, 64),
    ],
)
def test_connections_are_what_memory_and_files_allow(megabytes: int, descriptors: int, connections: int) -> None:
    """
    Within bounds: nginx sets memory aside for each, used or not.
    """
    assert machine.affordable(megabytes, descriptors) == connections


def laid(folder: Path, own: str, files: dict[str, str]) -> dict[str, Path]:
    """
    Make control groups of files, and say where they are.
    """
    for name, text in files.items():
        file = folder / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    (folder / "own").write_text(own)
    return {"groups": folder / "groups", "own": folder / "own"}


SERVICE = "0::/system.slice/gatelodge.service\n"
OLD = "9:name=systemd:/\n4:memory:/docker/0a1b\n2:cpu,cpuacct:/docker/0a1b\n"


@pytest.mark.parametrize(
    ("own", "files", "count"),
    [
        ("0::/\n", {"cpu.max": "100000 100000"}, 1),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, MINE),
        ("0::/\n", {"cpu.max": "99900000 100000"}, MINE),
        (SERVICE, {"system.slice/gatelodge.service/cpu.max": "10000 100000", "cpu.max": "max 100000"}, 1),
        (SERVICE, {"system.slice/cpu.max": "10000 100000"}, 1),
        (OLD, {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        (OLD, {"cpu/docker/0a1b/cpu.cfs_quota_us": "-1", "cpu/docker/0a1b/cpu.cfs_period_us": "100000"}, MINE),
        ("0::/../../elsewhere\n", {"cpu.max": "100000 100000"}, 1),
        ("nonsense", {"cpu.max": "100000 100000"}, MINE),
        ("0::/\n", {"cpu.max": "x y z"}, MINE),
        ("0::/\n", {"cpu.max": "100000 0"}, MINE),
        ("", {}, MINE),
    ],
)
def test_workers_are_as_many_as_can_run(tmp_path: Path, own: str, files: dict[str, str], count: int) -> None:
    """
    Not as many as the machine has processors: 64 that share the time of two are slower than two.
    """
    assert machine.processors(**laid(tmp_path, own, files)) == count


@pytest.mark.parametrize(
    ("own", "files", "least"),
    [
        ("0::/\n", {"memory.max": str(256 << 20)}, 256),
        (SERVICE, {"system.slice/gatelodge.service/memory.max": str(128 << 20), "memory.max": "max"}, 128),
        (OLD, {"memory/memory.limit_in_bytes": str(64 << 20)}, 64),
        (OLD, {"memory/docker/0a1b/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("0::/\n", {"memory.max": "max"}, None),
        ("", {}, None),
    ],
)
def test_memory_is_what_the_container_is_given(
    tmp_path: Path, own: str, files: dict[str, str], least: int | None
) -> None:
    """
    Of both versions of control groups; else all that the machine has.
    """
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    assert machine.megabytes(**laid(tmp_path, own, files)) == (least or whole)


def test_nginx_is_told() -> None:
    """
    How many workers, how many connections each, and the files that these need.
    """
    found = dataclasses.replace(nginx(1, 28, 0), cpus=4, connections=1000)
    tree = render(desired(), observed(found=found))
    for row in ("worker_processes 4;", "worker_connections 1000;", "worker_rlimit_nofile 2064;"):
        assert row in tree.entry
