"""
What a daemon leaves on the disk under a hostile umask: the documented modes, whatever it inherited.
"""

from __future__ import annotations

import asyncio
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import House, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

WIKI, LOCAL = "wiki.example.test", "local.example.test"

#: The folders of the state directory, and the mode that each has; below the secret ones nobody but the owner reads anything.
FOLDERS = {
    **dict.fromkeys(("accounts", "ca", "certificates", "journal", "nginx"), 0o700),
    **dict.fromkeys(("webroot", "webroot/.well-known", "webroot/.well-known/acme-challenge", "public"), 0o755),
    **dict.fromkeys(("auth", "log", "tmp"), 0o750),
}
SECRET = ("accounts", "ca", "certificates", "journal", "nginx")


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            yield found


def mode(path: Path) -> int:
    """
    Return the permission bits of what stands at a path, links not followed.
    """
    return stat.S_IMODE(path.lstat().st_mode)


def wrong(state: Path) -> dict[str, str]:
    """
    Return what has a mode that is not documented.
    """
    found = {name: mode(state / name) for name in FOLDERS}
    out = {name: f"{found[name]:04o}" for name, wanted in FOLDERS.items() if found[name] != wanted}
    for path in state.rglob("*"):
        # Sockets are asked about below; the pid file is nginx's, in a folder that nobody else enters.
        if path.is_symlink() or path.is_socket() or path.name == "nginx.pid":
            continue
        name, bits = str(path.relative_to(state)), mode(path)
        secret = name.startswith(SECRET) or name.startswith("events")
        ours = 0o700 if path.is_dir() else 0o600
        # nginx makes what lies in these, with a umask of its own.
        if (secret and bits != ours) or not bits & 0o400 or (bits & 0o022 and not name.startswith("tmp/")):
            out[name] = f"{bits:04o}"
    return out


@pytest.mark.parametrize("umask", [0o000, 0o777], ids=oct)
async def test_modes_under_a_hostile_umask(house: House, umask: int) -> None:
    """
    A site with a certificate from a CA by http-01 and one of the local CA's: issued, served, renewed. Nothing that is secret can be read by
    others, nothing at all be written by them, and nothing is closed to the daemon itself.
    """
    house.write(WIKI, more=f'"{LOCAL}" = {{ upstream = "http://127.0.0.1:{house.upstream}", tls = "local" }}\n')
    await house.start(umask=umask)
    await house.serving(WIKI)
    code, out, err = await house.gatelodge("renew", WIKI, "--force")
    assert code == 0, (out, err)
    await house.serving(WIKI)

    assert await asyncio.to_thread(wrong, house.state) == {}
    assert mode(house.state) == 0o711
    assert mode(house.state / "format") == 0o644
    assert mode(house.folder / "admin.sock") == 0o660
    assert not house.events("state.failed")

    # What it wrote it can read again.
    await house.kill()
    await house.start(umask=umask)
    await house.serving(WIKI)
    assert len(house.events("certificate.issued")) == 2
    assert not [event for event in house.events() if event["level"] == "error"]
