"""
The verb: what it prints where, how it exits, and that it changes nothing.
"""

from __future__ import annotations

import sys
import tomllib
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.importing.houses import lineage, parsed, proxied, put, state, swag

from gatelodge.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Said(NamedTuple):
    """
    What a call ended with.
    """

    code: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """
    Runs `gatelodge init` to its end.
    """

    def typed(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["gatelodge", "init", *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Said(code, out, err)

    return typed


@pytest.fixture
def certbot(tmp_path: Path) -> Path:
    """
    A folder of certbot's.
    """
    folder = tmp_path / "letsencrypt"
    lineage(folder, "example.org", ["example.org"], "authenticator = standalone")
    return folder


@pytest.fixture
def swags(tmp_path: Path) -> Path:
    """
    A folder of SWAG's, with a site and one that is not taken over.
    """
    folder = tmp_path / "appconfig"
    swag(folder)
    lineage(folder / "etc/letsencrypt", "example.org", ["example.org"], "authenticator = dns-aliyun")
    put(folder, "nginx/proxy-confs/chat.subdomain.conf", proxied())
    put(folder, "nginx/proxy-confs/cloud.subdomain.conf", proxied("cloud.*", location="auth_request /auth;"))
    return folder


def test_nothing_of_theirs_is_changed(run: Callable[..., Said], certbot: Path, swags: Path) -> None:
    """
    Contents, modes and times are the same afterwards, and nothing was added.
    """
    before = state(certbot), state(swags)

    assert run("--from-certbot", str(certbot)).code == 0
    assert run("--from-swag", str(swags)).code == 0
    assert (state(certbot), state(swags)) == before


def test_the_configuration_is_on_stdout_alone(run: Callable[..., Said], certbot: Path, swags: Path) -> None:
    """
    So that it can be redirected into a file; how much was found is said beside it.
    """
    said = run("--from-swag", str(swags))

    assert said.code == 0
    assert list(parsed(said.out)[0]["sites"]) == ["chat.example.org"]
    assert "1 certificate(s) and 1 site(s) taken over" in said.err
    assert list(parsed(run("--from-certbot", str(certbot)).out)[0]["certificates"]) == ["example.org"]


def test_the_same_folder_gives_the_same_text(run: Callable[..., Said], swags: Path) -> None:
    """
    Two runs can be compared.
    """
    assert run("--from-swag", str(swags)).out == run("--from-swag", str(swags)).out


def test_a_relative_folder_is_referred_to_by_its_whole_path(
    run: Callable[..., Said], certbot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The daemon runs elsewhere.
    """
    monkeypatch.chdir(certbot.parent)
    mapping = tomllib.loads(run("--from-certbot", certbot.name).out)

    assert mapping["certificates"]["example.org"]["adopt"] == str(certbot / "live/example.org")


def test_what_check_would_tell_is_told_beforehand(run: Callable[..., Said], certbot: Path) -> None:
    """
    A package that is missing here is no fault of the folder's.
    """
    params = "authenticator = dns-route53\ndns_route53_credentials = /nowhere"
    lineage(certbot, "other", ["*.example.net"], params)
    said = run("--from-certbot", str(certbot))

    assert said.code == 0
    assert "dns-lexicon[route53]" in said.err


@pytest.mark.parametrize(
    ("words", "helps"),
    [
        ((), "--from-certbot [DIR] or --from-swag [DIR]"),
        (("--from-certbot", "DIR", "--from-swag", "DIR"), "not both"),
        (("--from-certbot", "DIR/none"), "is not there"),
        (("--from-certbot", "DIR/file"), "is no folder"),
        (("--from-swag", "DIR/none\n[evil]"), "is not there"),
        (("--from-certbot", "DIR"), "renewal/NAME.conf"),
        (("--from-swag", "DIR"), ".donoteditthisfile.conf"),
        (("--from-swag", "DIR", "more"), "more"),
    ],
)
def test_what_is_wrong_is_said(run: Callable[..., Said], tmp_path: Path, words: tuple[str, ...], helps: str) -> None:
    """
    Exit 2, nothing on stdout, a sentence that helps.
    """
    put(tmp_path, "file", "x")
    said = run(*(word.replace("DIR", str(tmp_path)) for word in words))

    assert (said.code, said.out) == (2, "")
    assert helps in " ".join(said.err.split())
    assert "\n[evil]" not in said.err


def test_a_folder_that_may_not_be_read(
    run: Callable[..., Said], certbot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It is said to run this as root. (Tests often are root, for whom nothing is forbidden.)
    """

    def forbidden(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", forbidden)
    said = run("--from-certbot", str(certbot))

    assert said.code == 2
    assert "as root" in said.err
