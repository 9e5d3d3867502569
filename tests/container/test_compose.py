"""
The compose files in docs/ and the Dockerfile agree with one another and with the daemon, and let no container do more than it must.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatelodge.cli.options import FALLBACK_SOCKET
from gatelodge.config.read import read
from gatelodge.model import ByMailbox
from gatelodge.offers import CATALOG

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
FILES = sorted((ROOT / "docs" / "compose").glob("*.yaml"))
STATE, CONFIG = "/var/lib/gatelodge", "/config"
SITE = '\n[acme]\nagree_tos = true\n[sites]\n"wiki.example.org" = "http://wiki:3000"\n'


def services(file: Path) -> dict[str, Any]:
    """
    Return the services of a compose file.
    """
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
    return found


def told(file: Path) -> str:
    """
    Return the TOML that a compose file's head says is needed.
    """
    head = file.read_text(encoding="utf-8").partition("services:")[0]
    return "\n".join(re.findall(r"^#   (\[.*\]|\w+ = .*)$", head, flags=re.MULTILINE))


def daemon(file: Path) -> dict[str, Any]:
    """
    Return the service that is the daemon.
    """
    found: dict[str, Any] = services(file)["gatelodge"]
    return found


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """
    Return where a service has which volume.
    """
    pairs = [volume.split(":")[:2] for volume in service["volumes"]]
    return {where: source for source, where in pairs}


def instruction(name: str) -> list[str]:
    """
    Return what the Dockerfile's last stage says by one instruction.
    """
    last = DOCKERFILE.replace("\\\n", " ").rsplit("\nFROM ", 1)[1]
    return [row.split(maxsplit=1)[1] for row in last.splitlines() if row.startswith(f"{name} ")]


def test_there_is_a_file_for_each_way() -> None:
    """
    All in one container, beside the official nginx, for an nginx on the host.
    """
    assert [file.stem for file in FILES] == ["all-in-one", "beside-nginx", "host-nginx"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_daemon_may_do_no_more_than_it_must(file: Path) -> None:
    """
    No root, no capability, no way to new ones, nothing written but state and what is in memory; zombies are reaped.
    """
    service = daemon(file)
    assert service["user"] == "${PUID:-1000}:${PGID:-1000}"
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["init"] is True
    assert instruction_env()["HOME"] in service["tmpfs"]
    assert f"{Path(read(SITE, 'x', CATALOG).admin_socket).parent}:mode=1777" in service["tmpfs"]


def instruction_env() -> dict[str, str]:
    """
    Return the image's environment.
    """
    return dict(pair.split("=", 1) for row in instruction("ENV") for pair in row.split())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_folders_are_mounted_where_image_and_daemon_look(file: Path) -> None:
    """
    The configuration is a folder, and the state directory is where the daemon has it unless told otherwise.
    """
    where = mounts(daemon(file))
    assert set(where) == {CONFIG, STATE}
    assert f"{where[CONFIG]}:{CONFIG}:ro" in daemon(file)["volumes"]
    assert str(Path(instruction_env()["GATELODGE_CONFIG"]).parent) == CONFIG
    assert instruction("VOLUME") == [STATE]
    assert read(SITE, "x", CATALOG).state_directory == STATE
    for service in services(file).values():
        assert not [source for source in mounts(service).values() if Path(source).suffix not in ("", ".d")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_stop_gives_nginx_its_time(file: Path) -> None:
    """
    An engine's ten seconds are too few for nginx's seven and the daemon's own.
    """
    assert daemon(file)["stop_grace_period"] == "20s"
    assert instruction("STOPSIGNAL") == ["SIGTERM"]


@pytest.mark.parametrize("file", FILES[1:], ids=lambda file: file.stem)
def test_what_a_compose_file_says_of_the_configuration_is_taken(file: Path) -> None:
    """
    The TOML in its head is a configuration for an nginx of others, reached by the mailbox.
    """
    config = read(told(file) + SITE, str(file), CATALOG)
    assert isinstance(config.nginx.reload, ByMailbox)


def test_all_in_one_opens_the_ports_of_the_image_without_root() -> None:
    """
    Ports below 1024 are open to all inside, whatever the engine's default is.
    """
    service = daemon(FILES[0])
    assert {port.split(":")[1] for port in service["ports"]} == set(instruction("EXPOSE")[0].split())
    assert service["sysctls"] == {"net.ipv4.ip_unprivileged_port_start": "0"}


def test_beside_nginx_reaches_the_address_that_nginx_has() -> None:
    """
    Its address stays when nginx is made anew, and both see the state directory at one path.
    """
    found = services(FILES[1])
    address = found["nginx"]["networks"]["gate"]["ipv4_address"]
    assert read(told(FILES[1]) + SITE, "x", CATALOG).nginx.address == address
    assert mounts(found["nginx"])[STATE] == mounts(found["gatelodge"])[STATE]
    assert mounts(found["nginx"])["/etc/nginx/conf.d"] == "./conf.d"


def test_the_script_beside_nginx_comes_from_the_image_and_not_from_the_daemon() -> None:
    """
    Root runs it, so the daemon's container must not have the volume that it lies in.
    """
    found = services(FILES[1])
    script = found["nginx"]["entrypoint"][1]
    assert script in found["mailbox"]["entrypoint"][2]
    assert f"mailbox:{Path(script).parent}:ro" in found["nginx"]["volumes"]
    assert "mailbox" not in mounts(found["gatelodge"]).values()
    assert found["mailbox"]["cap_drop"] == ["ALL"]
    assert found["nginx"]["depends_on"] == {"mailbox": {"condition": "service_completed_successfully"}}


def test_what_the_image_is_made_of_is_there_and_not_ignored() -> None:
    """
    Every file that is copied exists, and the context holds nothing else.
    """
    rows = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, flags=re.MULTILINE)
    sources = {source for row in rows for source in row.split()[:-1]}
    let_in = {row[1:] for row in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if row[:1] == "!"}
    assert all((ROOT / source).exists() for source in sources)
    assert {source.removeprefix("./").split("/")[0] for source in sources} == let_in


def test_programs_that_the_image_names_are_copied_and_can_be_run() -> None:
    """
    The entry point and the health check lie where they are called, and are executable.
    """
    copied = DOCKERFILE[DOCKERFILE.index("COPY docker/entrypoint") :].splitlines()[0].split()[1:]
    target = copied.pop()
    called = [*instruction("ENTRYPOINT"), *instruction("HEALTHCHECK")]
    assert all(any(f'"{target}{Path(each).name}"' in row for row in called) for each in copied)
    assert all((ROOT / each).stat().st_mode & 0o111 == 0o111 for each in copied)


def test_the_health_check_knows_where_the_daemon_is() -> None:
    """
    It imports nothing of Gatelodge, so it repeats the usual places.
    """
    text, usual = (ROOT / "docker" / "healthcheck.py").read_text(encoding="utf-8"), read(SITE, "x", CATALOG)
    assert f'_STATE = "{usual.state_directory}"' in text
    assert f'_SOCKET = "{usual.admin_socket}"' in text
    assert f"/{FALLBACK_SOCKET}" in text


def test_extras_of_the_image_are_extras_of_the_package() -> None:
    """
    What EXTRAS may name is in pyproject.toml.
    """
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    defaults = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE, flags=re.MULTILINE)
    assert defaults == ["lexicon", "lexicon"], "both stages must know of the same"
    assert {"lexicon", "nginx"} <= set(extras)
