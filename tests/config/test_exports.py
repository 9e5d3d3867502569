"""
What `export` may say of a certificate or a site.
"""

from __future__ import annotations

import pytest

from gatelodge.config.read import read
from gatelodge.core.desired import desired
from gatelodge.errors import ConfigError
from gatelodge.model import Export, ExportFormat, Mistake

ACME = "[acme]\nagree_tos = true\n"
SITE = '[sites."wiki.example.com"]\nupstream = "http://127.0.0.1:1"\n'
HOME = '[certificates.home]\nnames = ["wiki.example.com"]\n'


def mistakes(text: str) -> tuple[Mistake, ...]:
    """
    Return what is wrong in a text.
    """
    with pytest.raises(ConfigError) as raised:
        read(text)
    return raised.value.mistakes


def test_a_certificates_copies() -> None:
    """
    One table or a list of them; the one file is called after the certificate; a group may read what it is given.
    """
    text = f'{ACME}{HOME}export = [{{ directory = "/a" }}, {{ directory = "/b", format = "pkcs12", group = "emby" }}]\n{SITE}'
    exports = desired(read(text)).certificates["home"].exports

    assert exports == (
        Export(directory="/a", mode=0o600),
        Export(directory="/b", format=ExportFormat.PKCS12, file="home.p12", group="emby", mode=0o640),
    )


@pytest.mark.parametrize("explicit", [True, False])
def test_a_sites_copies_are_of_the_certificate_that_serves_it(*, explicit: bool) -> None:
    """
    Its own, or one that covers it; of two kinds of keys the first.
    """
    head = ACME + (HOME if explicit else "")
    text = f'{head}key = ["ecdsa-p256", "rsa-2048"]\n{SITE}export = {{ directory = "/a" }}\n'
    certificates = desired(read(text)).certificates
    name = "home" if explicit else "wiki.example.com"

    assert certificates[name].exports == (Export(directory="/a", mode=0o600),)
    assert certificates[f"{name}.rsa"].exports == ()


@pytest.mark.parametrize(
    ("export", "problem"),
    [
        ("{}", "it does not say where the files are put"),
        ('{ directory = "tls" }', "is not an absolute path"),
        ('{ directory = "/var/lib/gatelodge/x" }', "lies in the state directory"),
        ('{ directory = "/a", mode = "640x" }', "is no mode of a file"),
        ('{ directory = "/a", mode = "0777" }', "is for no file that is to be read"),
        ('{ directory = "/a", file = "x.pem" }', "four files are written"),
        ('{ directory = "/a", password = "x" }', "has no such key"),
        ('{ directory = "/a", format = "pfx" }', "is not one of"),
        ('{ directory = "/a", format = "pem-bundle", file = "../x" }', "is not the name of a file"),
        ('{ directory = "/a", timeout = "1m" }', "there is no command"),
        ('[{ directory = "/a" }, { directory = "/a" }]', "is written by"),
        (
            '[{ directory = "/a" }, { directory = "/a", format = "pem-bundle", file = "privkey.pem" }]',
            "/a/privkey.pem is written by",
        ),
        ('{ directory = "/a/b/../c" }', "goes back by .."),
        ('{ directory = "/a", owner = "-1" }', "is not the name of a user"),
        ('{ directory = "/a", command = [] }', "is no list of words"),
    ],
)
def test_a_mistake_is_told(export: str, problem: str) -> None:
    """
    With its line, and in words.
    """
    (found,) = mistakes(f"{ACME}{HOME}export = {export}\n{SITE}")

    assert problem in found.problem
    assert found.line == 5


def test_what_everybody_may_read_is_warned_of() -> None:
    """
    And taken all the same.
    """
    config = read(f'{ACME}{HOME}export = {{ directory = "/a", mode = "0644" }}\n{SITE}')

    assert "everybody on this machine" in config.warnings[0].problem


@pytest.mark.parametrize(
    ("more", "problem"),
    [('tls = "off"\n', "has no certificate"), ('certificate = "home"\n', "copies are made of the certificate")],
)
def test_a_site_whose_certificate_is_not_its_own(more: str, problem: str) -> None:
    """
    Says so where that is.
    """
    found = mistakes(f'{ACME}{HOME}{SITE}{more}export = {{ directory = "/a" }}\n')

    assert any(problem in each.problem for each in found)


def test_a_password_in_the_file_is_a_secret_there() -> None:
    """
    Its key is told, so that it is warned of when others may read the file.
    """
    export = '{ directory = "/a", format = "pkcs12", password = "hunter2" }'
    config = read(f"{ACME}{HOME}export = {export}\n{SITE}")

    assert config.exposed == ("certificates.home.export.password",)
    assert "hunter2" not in repr(config)
