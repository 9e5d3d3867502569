"""
Other programs that get certificates, by what they leave on a machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.patient import Case

from gatelodge.doctor import others

if TYPE_CHECKING:
    from pathlib import Path


def put(folder: Path, path: str, text: str = "") -> None:
    """
    Put a file on the machine.
    """
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)


async def test_a_machine_without_others(tmp_path: Path) -> None:
    """
    Comments in a crontab are none.
    """
    put(tmp_path, "etc/crontab", "# 0 3 * * * root certbot renew\n")
    put(tmp_path, "proc/1/comm", "systemd\n")
    put(tmp_path, "etc/letsencrypt/README", "")
    put(tmp_path, "etc/dehydrated/config", "")
    seen = await Case(folder=tmp_path).look(others.look)

    assert seen.none("broken", "warning", "note")
    assert seen.of("ok")


async def test_certbot_with_its_timer(tmp_path: Path) -> None:
    """
    Its names and who starts it are told, with the way over.
    """
    put(tmp_path, "etc/letsencrypt/renewal/example.com.conf")
    put(tmp_path, "etc/systemd/system/timers.target.wants/certbot.timer")
    put(tmp_path, "etc/cron.d/certbot", "0 */12 * * * root certbot -q renew\n")
    seen = await Case(folder=tmp_path).look(others.look)

    assert "certbot renews example.com, by certbot.timer, cron: certbot" in seen.of("note")
    assert "gatelodge init --from-certbot" in seen.all[0].do


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("root/.acme.sh/account.conf", "", "acme.sh is set up there"),
        ("home/me/.acme.sh/account.conf", "", "acme.sh is set up there"),
        ("etc/dehydrated/domains.txt", "", "dehydrated keeps certificates there"),
        ("var/lib/lego/accounts", "", "lego keeps certificates there"),
        ("etc/cron.d/mine", "1 1 * * * me /home/me/.acme.sh/acme.sh --cron\n", "another ACME client is started by it"),
        ("proc/812/comm", "caddy\n", "it runs on this machine"),
        ("proc/812/comm", "traefik\n", "it runs on this machine"),
    ],
)
async def test_each_other(tmp_path: Path, path: str, text: str, said: str) -> None:
    """
    Each is a note, with what could clash.
    """
    put(tmp_path, path, text)
    seen = await Case(folder=tmp_path).look(others.look)

    assert said in seen.of("note")
    assert seen.all[0].why
    assert seen.all[0].do


@pytest.mark.parametrize("line", ["* * * * * me /opt/legolas/run\n", "* * * * * me tell an allegory\n"])
async def test_words_that_hold_a_client_are_none(tmp_path: Path, line: str) -> None:
    """
    A program is known by its whole name.
    """
    put(tmp_path, "etc/cron.d/mine", line)
    seen = await Case(folder=tmp_path).look(others.look)

    assert [each.seen for each in seen.all] == ["no other ACME client and no other web server is seen"]
