"""
The units say what they mean to systemd, and leave as little open as can be.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.systemd.machine import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

UNITS = REPOSITORY / "systemd"
DROP_INS = sorted((UNITS / "gatelodge.service.d").glob("*.conf"))

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed; scripts/setup test installs it"
)


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    """
    Ask systemd-analyze.
    """
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)


def systemd_version() -> int:
    """
    Return the number of this systemd.
    """
    return int(analyze("--version").stdout.split()[1])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """
    A machine's files, as far as units name them: systemd's own units, and the programs that are started.
    """
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/bin").mkdir()
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "bin").symlink_to("usr/bin")
    shutil.copytree("/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    for program in ("usr/bin/sh", "usr/bin/kill", "opt/gatelodge/bin/gatelodge"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).touch(mode=0o755)
    return tmp_path


def install(root: Path, *drop_ins: str) -> Path:
    """
    Put the service with some of its drop-ins in place, and return where.
    """
    folder = root / "etc/systemd/system"
    (folder / "gatelodge.service.d").mkdir(parents=True)
    shutil.copy(UNITS / "gatelodge.service", folder)
    for name in drop_ins:
        shutil.copy(UNITS / "gatelodge.service.d" / name, folder / "gatelodge.service.d")
    return folder / "gatelodge.service"


def settings(path: Path) -> list[str]:
    """
    Return a unit's settings without comments and sections.
    """
    return [line for line in path.read_text().splitlines() if line and line[0] not in "#["]


@pytest.mark.parametrize("drop_in", [None, *(path.name for path in DROP_INS)])
def test_systemd_has_nothing_to_say_of_the_units(root: Path, drop_in: str | None) -> None:
    """
    `systemd-analyze verify` without a word. What an older systemd does not know is complained of by it, and is nothing else.
    """
    install(root, *([drop_in] if drop_in else []))
    done = analyze("verify", f"--root={root}", "gatelodge.service")
    newer = drop_in == "notify-reload.conf" and systemd_version() < 253
    lines = done.stderr.splitlines()

    assert done.returncode == 0
    assert [re.sub(r".*(Type|type|ReloadSignal).*", r"\1", line) for line in lines] == (
        ["type", "ReloadSignal"] if newer else []
    ), done.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Restart=on-failure", "Restrat=on-failure"),
        ("/opt/gatelodge/bin/", "/opt/gatelodge/bni/"),
        ("=AF_INET ", "=AF_INTE "),
    ],
)
def test_a_mistake_in_a_unit_would_be_told(root: Path, before: str, after: str) -> None:
    """
    A wrong key, a program that is not there, a value that is none: the test above would fail.
    """
    unit = install(root)
    unit.write_text(unit.read_text().replace(before, after))

    assert analyze("verify", f"--root={root}", "gatelodge.service").stderr != ""


@pytest.mark.parametrize(("mode", "drop_ins"), [("managed", ()), ("external", ("external.conf",))])
def test_little_is_open(root: Path, mode: str, drop_ins: tuple[str, ...]) -> None:
    """
    By `systemd-analyze security`; and the docs state the figure. Other systemds count a little differently.
    """
    install(root, *drop_ins)
    said = analyze("security", "--offline=true", "--no-pager", f"--root={root}", "gatelodge.service").stdout
    found = re.search(r"Overall exposure level for gatelodge.service: ([\d.]+)", said)
    stated = re.search(rf"([\d.]+) \(`{mode}`\)", (REPOSITORY / "docs/systemd.md").read_text(encoding="utf-8"))

    assert found, said
    assert stated
    assert float(found[1]) <= 2.0, said
    assert abs(float(found[1]) - float(stated[1])) < (0.05 if systemd_version() == 252 else 0.3), said


def test_the_drop_in_for_newer_systemds_changes_how_a_reload_is_waited_for_and_nothing_else() -> None:
    """
    An older systemd would ignore its lines one by one, and lose the reload; so it is put in place by itself where it is known.
    """
    assert settings(UNITS / "gatelodge.service.d/notify-reload.conf") == [
        "Type=notify-reload", "ReloadSignal=SIGHUP", "ExecReload=",
    ]  # fmt: skip


def test_nginx_outlives_the_daemon_by_these_lines() -> None:
    """
    Each was seen to matter: without any of them a crash, a watchdog or a full memory takes nginx along.
    """
    assert {"KillMode=process", "OOMPolicy=continue", "RuntimeDirectoryPreserve=yes"} <= set(
        settings(UNITS / "gatelodge.service")
    )
