"""
What `[admin]` becomes, and what it is warned of. Its mistakes stand with the others.
"""

from __future__ import annotations

import pytest

from gatelodge.config.read import read
from gatelodge.model import AdminSettings, Listener, Secret, SecretRef

TOKEN = "0123456789abcdef"


def test_the_sockets_alone() -> None:
    """
    Nothing listens on TCP unless it is asked for.
    """
    assert read("").admin == AdminSettings()


def test_addresses_with_a_token() -> None:
    """
    One or several, each once; the token from wherever it is.
    """
    one = read('admin = { listen = "127.0.0.1:9180", token = { file = "/etc/token" } }')
    many = read(f'admin = {{ listen = ["[::1]:9180", "127.0.0.1:9180", "[0:0::1]:9180"], token = "{TOKEN}" }}')

    assert one.admin == AdminSettings(
        listen=(Listener(port=9180, address="127.0.0.1"),), token=SecretRef(file="/etc/token")
    )
    assert many.admin.listen == (Listener(port=9180, address="::1"), Listener(port=9180, address="127.0.0.1"))
    assert many.admin.token == SecretRef(literal=Secret(TOKEN))
    assert (one.exposed, many.exposed) == ((), ("admin.token",))
    assert one.warnings == many.warnings == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('listen = "0.0.0.0:9180", token = { env = "T" }', "in plain http"),
        ('listen = "192.168.1.2:9180", token = { env = "T" }', "put it behind a site"),
        ('listen = "[::]:9180", token = { env = "T" }', '"127.0.0.1:9180"'),
        ('token = { env = "T" }', "nobody is asked for it"),
    ],
)
def test_what_is_probably_not_meant(text: str, said: str) -> None:
    """
    Is a warning, and works.
    """
    (warning,) = read(f"admin = {{ {text} }}").warnings

    assert said in f"{warning.problem}; {warning.remedy}"
