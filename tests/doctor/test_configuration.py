"""
The configuration's mistakes, and files with secrets.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.support.patient import Case

from gatelodge.doctor import configuration
from gatelodge.doctor.findings import Findings
from gatelodge.model import Mistake

if TYPE_CHECKING:
    from pathlib import Path

DNS = """\
[dns.lab]
provider = "rfc2136"
server = "127.0.0.1:53"
key_name = "k"
key_secret = {secret}
"""


async def test_mistakes_are_told_with_line_and_remedy(tmp_path: Path) -> None:
    """
    Mistakes are broken, warnings are warnings, and a configuration without either is well.
    """
    case = Case(folder=tmp_path)

    assert (await case.look(configuration.look)).of("ok") == "it has no mistakes"

    mistakes = (
        Mistake(path="nginx.http_port", problem="no port", remedy="write 80", line=7),
        Mistake(path="sites", problem="odd", remedy="look", warning=True),
    )
    findings = Findings("test")
    await configuration.look(dataclasses.replace(case.patient(), mistakes=mistakes, config=None), findings)

    assert [(str(each.level), each.subject, each.do) for each in findings.all] == [
        ("broken", f"{tmp_path}/gatelodge.toml:7", "write 80"),
        ("warning", f"{tmp_path}/gatelodge.toml", "look"),
    ]


@pytest.mark.parametrize(
    ("content", "mode", "level", "said"),
    [
        ("c2VjcmV0", 0o600, "ok", "readable, mode 0600"),
        ("c2VjcmV0", 0o640, "ok", "readable, mode 0640"),
        ("c2VjcmV0", 0o644, "warning", "its mode is 0644"),
        ("", 0o600, "broken", "it is empty"),
        (None, 0, "broken", "it cannot be read: No such file"),
    ],
)
async def test_a_file_with_a_secret(tmp_path: Path, content: str | None, mode: int, level: str, said: str) -> None:
    """
    It must be there, hold something, and be closed to others. What it holds is not told.
    """
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    seen = await Case(folder=tmp_path, toml=DNS.format(secret=f'{{ file = "{file}" }}')).look(configuration.look)

    assert said in seen.of(level, str(file))
    assert "dns.lab.key_secret" in seen.of(level, str(file))
    assert "c2VjcmV0" not in repr(seen.all)


async def test_a_variable_may_be_the_services_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One that is not set here is worth a note only: the daemon has another environment.
    """
    case = Case(folder=tmp_path, toml=DNS.format(secret='{ env = "GATELODGE_TEST_KEY" }'))
    monkeypatch.delenv("GATELODGE_TEST_KEY", raising=False)

    assert "GATELODGE_TEST_KEY is not set" in (await case.look(configuration.look)).of("note", "dns.lab")

    monkeypatch.setenv("GATELODGE_TEST_KEY", "c2VjcmV0")

    assert (await case.look(configuration.look)).none("note")


async def test_an_ini_is_a_secret_too(tmp_path: Path) -> None:
    """
    A file of credentials that a provider names is looked at as well.
    """
    ini = tmp_path / "aliyun.ini"
    ini.write_text("x")
    ini.chmod(0o644)
    toml = f'[dns.home]\nprovider = "aliyun"\ncredentials_file = "{ini}"\n'
    seen = await Case(folder=tmp_path, toml=toml).look(configuration.look)

    assert "dns.home.credentials_file" in seen.of("warning", str(ini))
