"""
`gatelodge presets`: what apps there are, and what is to be set in each, for the site that has it.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from gatelodge import presets
from gatelodge.cli import cli

if TYPE_CHECKING:
    from pathlib import Path


def said(*words: str, code: int = 0) -> str:
    """
    Return what a call prints.
    """
    done = CliRunner().invoke(cli, ["presets", *words])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """
    Return a configuration in which two sites have a preset, on a forwarded port and on another.
    """
    file = tmp_path / "gatelodge.toml"
    file.write_text(
        """
        acme.agree_tos = true
        nginx.public_https_port = 2443
        sites."cloud.example.org" = { upstream = "http://x", preset = "nextcloud" }
        sites."::1" = { upstream = "http://x", preset = "vaultwarden", tls = "local", listen = [8443] }
        """
    )
    return file


def test_they_are_listed() -> None:
    """
    By name and title, for people and for programs.
    """
    lines = said().splitlines()
    assert len(lines) == len(presets.load())
    assert any(line.split(maxsplit=1) == ["nextcloud", "Nextcloud"] for line in lines)
    listed = json.loads(said("--json"))["presets"]
    assert {"name": "nextcloud", "title": "Nextcloud"} in listed


def test_one_is_shown_for_the_site_that_has_it(file: Path) -> None:
    """
    Its note holds that site's host, with the port by which visitors come.
    """
    page = said("nextcloud", "-c", str(file))
    assert "'overwritehost' => 'cloud.example.org:2443'" in page
    assert "'trusted_domains' => ['cloud.example.org']" in page
    assert "https://cloud.example.org:2443" in page
    assert 'routes."/remote.php/" = { auth = "off" }' in page
    assert "https://docs.nextcloud.com/" in page
    assert "DOMAIN=https://[::1]:8443" in said("vaultwarden", "-c", str(file))


def test_one_that_no_site_has_is_shown_for_an_example(file: Path, tmp_path: Path) -> None:
    """
    Also where there is no configuration, or a wrong one.
    """
    (tmp_path / "wrong.toml").write_text("xyzzy = 1")
    for place in (file, tmp_path / "wrong.toml", tmp_path / "none.toml"):
        assert "app.example.com" in said("rocketchat", "-c", str(place))


@pytest.mark.parametrize("name", presets.load())
def test_what_it_sets_is_the_preset_as_toml(name: str, tmp_path: Path) -> None:
    """
    Whoever pastes it has the preset.
    """
    none = str(tmp_path / "none.toml")
    shown: dict[str, Any] = json.loads(said(name, "--json", "-c", none))
    assert tomllib.loads("\n".join(shown["keys"])) == presets.load()[name].site
    page = said(name, "-c", none)
    assert all(line in page for line in shown["keys"])
    assert "{host}" not in page


def test_one_that_is_not_there_is_told_with_the_nearest() -> None:
    """
    And with where to look.
    """
    assert "did you mean nextcloud?" in said("nextclod", code=2)
    assert "lists them" in said("xyzzy", code=2)
