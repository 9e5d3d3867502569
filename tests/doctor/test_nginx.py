"""
The nginx that was found: what it lacks, what it serves, whose configuration it has, and what its workers can read.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.patient import NGINX, Case

from gatelodge.doctor import nginx
from gatelodge.errors import NginxMissing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """
    A folder that everybody can pass through, unlike pytest's own.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


SITE = '[sites]\n"wiki.example.com" = "http://127.0.0.1:1"\n'
SERVING: dict[str, Any] = {
    "running": True, "pid": None, "generation": 7, "up_to_date": True, "draining_workers": 0, "failure": None,
}  # fmt: skip


def case(folder: Path, toml: str = SITE, *, found: Any = NGINX, **report: Any) -> Case:
    """
    Return a case with this nginx, which serves what is asked for unless the report says otherwise.
    """
    return Case(folder=folder, toml=toml, capabilities=lambda: found, report={"nginx": SERVING | report})


async def test_one_that_is_well(tmp_path: Path) -> None:
    """
    It has what is needed, and serves the present tree.
    """
    seen = await case(tmp_path).look(nginx.look)

    assert seen.none("broken", "warning", "note")
    assert any("serves tree 7" in each.seen for each in seen.all)


async def test_no_nginx(tmp_path: Path) -> None:
    """
    Nothing is served without one.
    """

    def missing() -> Any:
        raise NginxMissing("nginx", "it is not in PATH")

    world = case(tmp_path)
    world.capabilities = missing

    assert "it is not in PATH" in (await world.look(nginx.look)).of("broken")


@pytest.mark.parametrize(
    ("toml", "module", "level"),
    [
        ('[streams.mqtt]\nlisten = [1883]\nupstream = "127.0.0.1:1"\n', "stream", "broken"),
        ("[listen.443]\nhttp3 = true\n" + SITE, "http_v3_module", "warning"),
    ],
)
async def test_modules_that_the_configuration_needs(tmp_path: Path, toml: str, module: str, level: str) -> None:
    """
    What cannot be done without is broken; HTTP/3 is gone without. Dynamic modules count.
    """
    seen = await case(tmp_path, toml).look(nginx.look)

    assert f"has no {module}" in seen.of(level)

    found = dataclasses.replace(NGINX, dynamic={module: "/usr/lib/nginx/modules/it.so"})

    assert (await case(tmp_path, toml, found=found).look(nginx.look)).none("broken", "warning")


async def test_one_that_is_too_old(tmp_path: Path) -> None:
    """
    Several servers by name need 1.27.3, refusing a handshake by name 1.19.4.
    """
    toml = '[sites."wiki.example.com"]\nupstream = ["http://a:80", "http://b:80"]\n'

    assert "nginx 1.27.3" in (await case(tmp_path, toml).look(nginx.look)).of("broken", "wiki.example.com")

    newer = dataclasses.replace(NGINX, version=(1, 27, 3))

    assert (await case(tmp_path, toml, found=newer).look(nginx.look)).none("broken")

    older = dataclasses.replace(NGINX, version=(1, 18, 0))

    assert "cannot refuse a TLS handshake" in (await case(tmp_path, found=older).look(nginx.look)).of("note")


@pytest.mark.parametrize(
    ("report", "level", "said"),
    [
        ({"running": False}, "broken", "it does not run"),
        ({"up_to_date": False}, "warning", "asks for another"),
        ({"failure": {"error.detail": "[emerg] no"}}, "broken", "[emerg] no"),
        ({"draining_workers": 3}, "note", "3 old workers"),
    ],
)
async def test_what_it_serves(tmp_path: Path, report: dict[str, Any], level: str, said: str) -> None:
    """
    By the report of `status`.
    """
    assert said in (await case(tmp_path, **report).look(nginx.look)).of(level)


def external(folder: Path, dump: str, *, status: int = 0) -> Case:
    """
    Return a case with somebody else's nginx, whose `-T` says this.
    """
    program = folder / "nginx"
    (folder / "dump").write_text(dump)
    program.write_text(f"#!/bin/sh\ncat {folder}/dump{' >&2' if status else ''}\nexit {status}\n")
    program.chmod(0o755)
    toml = '[nginx]\nmode = "external"\n' + SITE
    world = case(folder, toml, found=dataclasses.replace(NGINX, binary=str(program)))
    world.entry = f"{folder}/state/nginx/current/http.con[f]"
    return world


async def test_somebody_elses_configuration(tmp_path: Path) -> None:
    """
    Without the include line nothing is served; with two default servers, and with a mistake, nginx refuses the whole.
    """
    head = "# configuration file /etc/nginx/nginx.conf:\nhttp {\n"
    line = f"    include {tmp_path}/state/nginx/current/http.con[f];\n"

    assert "it includes" in (await external(tmp_path, head + line + "}\n").look(nginx.look)).of("ok", "nginx.conf")
    assert "does not include" in (await external(tmp_path, head + "}\n").look(nginx.look)).of("broken", "nginx.conf")

    ours = f"# configuration file {tmp_path}/state/nginx/generations/7/prelude.conf:\n"
    both = head + line + "server {\n    listen 80 default_server;\n}\n}\n" + ours + "    listen 80 default_server;\n"

    assert "two default servers for 80" in (await external(tmp_path, both).look(nginx.look)).of("broken", "nginx.conf")

    wrong = "nginx: [emerg] unknown directive in /etc/nginx/mine.conf:3\nnginx: test failed\n"
    seen = await external(tmp_path, wrong, status=1).look(nginx.look)

    assert "mine.conf:3" in seen.of("broken", "nginx -T")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's nginx has workers of another user")
async def test_files_that_workers_must_read(tmp_path: Path, open_folder: Path) -> None:
    """
    The first part of the path that is closed to them is named.
    """
    files = open_folder / "closed" / "files"
    files.mkdir(parents=True)
    toml = f'[sites."a.example.com"]\nstatic = "{files}"\n'
    found = dataclasses.replace(NGINX, user="nobody", group="nogroup")

    assert (await case(tmp_path, toml, found=found).look(nginx.look)).none("broken")

    files.parent.chmod(0o700)
    seen = await case(tmp_path, toml, found=found).look(nginx.look)

    assert f"{files.parent} is closed to them" in seen.of("broken", str(files))

    files.rmdir()
    files.parent.chmod(0o755)
    seen = await case(tmp_path, toml, found=found).look(nginx.look)

    assert f"{files} is not there" in seen.of("broken", str(files))
    assert "chmod" not in seen.of("broken", str(files))

    gone = dataclasses.replace(NGINX, user="nobody-of-that-name")

    assert "no user nobody-of-that-name" in (await case(tmp_path, found=gone).look(nginx.look)).of("broken")
