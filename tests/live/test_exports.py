"""
A real daemon that copies certificates for other programs: on issuance, on renewal, with `once`, and what `plan` and `status` say of it.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import House, opened
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.live

WIKI = "wiki.example.test"

EXPORTS = """
[certificates.wiki]
names = ["wiki.example.test"]
export = [
  {{ directory = "{folder}/tls", command = ["{folder}/told"] }},
  {{ directory = "{folder}", format = "pkcs12", file = "emby.pfx", password = {{ file = "{folder}/password" }} }},
  {{ directory = "{folder}", format = "pem-bundle", file = "znc.pem" }},
]
"""


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """
    A gate whose daemon does not run yet, with three copies of one certificate.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        async with opened(Path(name)) as found:
            found.write(WIKI, more=EXPORTS.format(folder=found.folder))
            told = found.folder / "told"
            told.write_text(
                f'#!/bin/sh\nopenssl x509 -in "$GATELODGE_PLACE/cert.pem" -noout -serial >>{found.folder}/heard\n'
            )
            told.chmod(0o755)
            (found.folder / "password").write_text("correct horse\n")
            yield found


def openssl(*arguments: object) -> str:
    """
    Return what OpenSSL prints.
    """
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True, timeout=20).stdout  # fmt: skip


def serials(house: House) -> set[str]:
    """
    Return the serial numbers of all copies, as OpenSSL reads them; each key is its certificate's.
    """
    opened = house.folder / "opened.pem"
    pfx = house.folder / "emby.pfx"
    opened.write_text(openssl("pkcs12", "-in", pfx, "-passin", f"file:{house.folder}/password", "-nodes"))
    found = set()
    for certificate, key in (
        (house.folder / "tls" / "fullchain.pem", house.folder / "tls" / "privkey.pem"),
        (opened, opened),
        (house.folder / "znc.pem", house.folder / "znc.pem"),
    ):
        public = openssl("x509", "-in", certificate, "-noout", "-pubkey")
        assert openssl("pkey", "-in", key, "-pubout") == public
        found.add(
            openssl("x509", "-in", certificate, "-noout", "-serial").strip().lower().removeprefix("serial=").lstrip("0")
        )
    return found


async def test_copies_follow_the_certificate(house: House) -> None:
    """
    On issuance and on renewal, all of them are of the one that is served, and the program hears of each once its files are there.
    Somebody who removes a file finds it again; `status` says that all are current.
    """
    await house.start()
    await house.serving(WIKI)
    await house.saw("certificate.exported", times=3)
    assert await asyncio.to_thread(serials, house) == {f"{house.serial(WIKI):x}"}

    code, out, err = await house.gatelodge("renew", "wiki", "--force")
    assert code == 0, (out, err)
    await house.saw("certificate.exported", times=6)
    await until(lambda: f"{house.serial(WIKI):x}" == house.events("certificate.renewed")[-1]["serial"])
    assert await asyncio.to_thread(serials, house) == {f"{house.serial(WIKI):x}"}
    heard = (house.folder / "heard").read_text().split()
    assert len(heard) == len(set(heard)) == 2

    (house.folder / "znc.pem").unlink()
    house.reload()
    await house.saw("certificate.exported", times=7)
    (entry,) = [each for each in (await house.status())["certificates"] if each["certificate"] == "wiki"]
    assert [export["state"] for export in entry["exports"]] == ["current"] * 3


async def test_once_copies_too(house: House) -> None:
    """
    To the end; a program that fails makes it fail, and is told. What is removed is made again, as `plan` says.
    """
    (house.folder / "told").write_text("#!/bin/sh\necho it is broken >&2\nexit 7\n")
    code, out, err = await house.gatelodge("once")
    assert code == 1, (out, err)
    assert "ended with 7: it is broken" in out

    assert await asyncio.to_thread(serials, house) == {house.events("certificate.issued")[-1]["serial"]}

    (house.folder / "znc.pem").unlink()
    code, out, err = await house.gatelodge("plan")
    assert code == 0, err
    assert f"- copy the certificate wiki to {house.folder}/znc.pem as pem-bundle\n" in out
    await house.gatelodge("once")
    assert await asyncio.to_thread(serials, house) == {house.events("certificate.issued")[-1]["serial"]}
