"""
Files that a configuration names and that were made to hang, to grow, or to lead elsewhere, and a configuration that is one itself: it is
said what is wrong, soon.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import opened

from gatelodge import credentials
from gatelodge.errors import SecretMissing
from gatelodge.model import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable

#: How long a verb may take to say so, on a busy machine. Seconds.
SOON = 30

#: What a daemon may have held at most meanwhile. kB.
MOST = 400_000


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _ring(path: Path) -> None:
    path.symlink_to(path.name)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 30)


TRAPS: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "device-without-end": _endless,
    "folder": Path.mkdir,
    "link-to-itself": _ring,
    "three-gigabytes": _huge,
}


def _peak(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0])


@pytest.mark.live
async def test_certificates_of_the_users_that_are_traps() -> None:
    """
    In place of files that a site names, and of those that are to be adopted: each is told of with its path, the memory stays as it is, and
    another site is served as ever.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as house:
            sites, certificates = [], []
            for trap, make in TRAPS.items():
                files, adopted = house.folder / f"{trap}-files", house.folder / f"{trap}-live"
                for folder, names in ((files, ("chain.pem", "key.pem")), (adopted, ("fullchain.pem", "privkey.pem"))):
                    folder.mkdir()
                    for each in names:
                        make(folder / each)
                tls = f'{{ certificate = "{files}/chain.pem", key = "{files}/key.pem" }}'
                sites.append(f'"{trap}.example.test" = {{ upstream = "http://127.0.0.1:1", tls = {tls} }}\n')
                certificates.append(
                    f'[certificates.adopting-{trap}]\nnames = ["adopting-{trap}.example.test"]\nadopt = "{adopted}"\n'
                )
            house.write("wiki.example.test", more="".join(sites + certificates))
            daemon = await house.start()
            await house.serving("wiki.example.test")
            await house.saw("certificate.failed", times=len(TRAPS))
            failed = {event["certificate"]: event["error.detail"] for event in house.events("certificate.failed")}
            assert await asyncio.to_thread(_peak, daemon.pid) < MOST
            for trap in TRAPS:
                assert f"{house.folder}/{trap}-files" in failed[f"{trap}.example.test"]
            assert "Traceback" not in house.said()
            assert not [event for event in house.events() if event.get("error.type") == "internal"]


@pytest.mark.parametrize("trap", TRAPS)
async def test_a_configuration_that_is_a_trap(tmp_path: Path, trap: str) -> None:
    """
    It is said what is wrong with the file.
    """
    file = tmp_path / "gatelodge.toml"
    TRAPS[trap](file)
    command = [sys.executable, "-m", "gatelodge", "check", "-c", str(file)]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=SOON, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../../etc/cron.d/x",
            "a/../../b",
            "/etc/passwd",
            "a\\0b",
            "a\\nb",
            "..",
            ".",
            "",
            "-rf",
            "a b",
            "a;b",
            "$(id)",
        ),
        *("x" * 300, "*.*.example.com", "ё/../x", "%2e%2e/x", "con\\u202egpj"),
    ],
)
async def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    """
    As a host, a certificate or a DNS provider: nothing of the name becomes a path, since it is refused.
    """
    for text in (
        f'[sites]\n"{name}" = "http://127.0.0.1:1"\n',
        f'[certificates."{name}"]\nnames = ["a.example.com"]\n',
        f'[dns."{name}"]\nprovider = "exec"\ncommand = ["true"]\n',
    ):
        file = tmp_path / "gatelodge.toml"
        file.write_text(f'state_directory = "{tmp_path}/state"\nacme.agree_tos = true\n{text}')
        found = await asyncio.to_thread(_checked, file)
        assert found, text
        assert not (tmp_path / "state").exists()


def _checked(file: Path) -> str:
    """
    Return the mistakes of a configuration, in words.
    """
    from gatelodge.cli.options import load  # noqa: PLC0415 - as the command line does
    from gatelodge.errors import ConfigError  # noqa: PLC0415 - as above

    try:
        load(file)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("trap", [*TRAPS, "no text"])
def test_a_secret_that_is_a_trap(tmp_path: Path, trap: str) -> None:
    """
    It is said which file, and nobody waits for it.
    """
    file = tmp_path / "token"
    TRAPS.get(trap, lambda path: path.write_bytes(b"\xff\xfe"))(file)
    with pytest.raises(SecretMissing, match=str(file)):
        credentials.fetch(SecretRef(file=str(file)))


def test_a_secret_in_a_variable_that_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It could not be compared with what is sent.
    """
    monkeypatch.setenv("GATELODGE_TEST_TOKEN", os.fsdecode(b"\xff" * 40))
    with pytest.raises(SecretMissing, match="is not text"):
        credentials.fetch(SecretRef(env="GATELODGE_TEST_TOKEN"))
