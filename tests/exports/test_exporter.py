"""
Copies on a real disk: what OpenSSL makes of them, whose they are, and what a hostile folder may not do.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.clock import FakeClock
from tests.support.pems import buy, rsa_key

from gatelodge.errors import ExportError
from gatelodge.exports.exporter import FileExporter
from gatelodge.model import AcmeIssuer, CertificateSpec, Encryption, Export, ExportFormat, Name, Secret, SecretRef
from gatelodge.ports import Issued
from gatelodge.stores.memory import MemoryDocuments, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.pems import Bought

    from gatelodge.core.observed import Held

WIKI = "wiki.example.com"
PASSWORD = "correct horse"


class Desk:
    """
    A certificate, and somebody who copies it into folders below `folder`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir(mode=0o711)
        self.documents = MemoryDocuments()
        self.clock = FakeClock()
        self.exporter = FileExporter(documents=self.documents, clock=self.clock, state_directory=str(self.state))
        self.store = MemoryStore(clock=self.clock)
        self.bought: Bought = buy(WIKI)

    async def held(self) -> tuple[Held, Issued]:
        spec = CertificateSpec(name=WIKI, names=(Name(WIKI),), issuer=AcmeIssuer(ca="pebble"))
        issued = Issued(chain=self.bought.chain, private_key=Secret(self.bought.key_pem))
        if "RSA" in type(self.bought.key).__name__:
            from gatelodge.model import KeyKind  # noqa: PLC0415 - for one case

            spec = dataclasses.replace(spec, key=KeyKind.RSA_2048)
        return await self.store.put(spec, issued), issued

    async def export(self, **more: Any) -> Export:
        """
        Copy it to `folder/tls`.
        """
        export = Export(**{"directory": str(self.folder / "tls"), **more})
        await self.exporter.export(*await self.held(), export)
        return export

    async def refused(self, **more: Any) -> str:
        """
        Return why it could not be copied.
        """
        with pytest.raises(ExportError) as raised:
            await self.export(**more)
        return str(raised.value)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """
    A desk with nothing done.
    """
    return Desk(tmp_path)


def names(folder: Path) -> list[str]:
    """
    Return what lies in a folder.
    """
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    """
    Return who may do what with a file.
    """
    return stat.S_IMODE(path.stat().st_mode)


def openssl(*arguments: str) -> str:
    """
    Return what OpenSSL prints, what it says of it last.
    """
    ran = subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True, timeout=20)
    return ran.stdout + (ran.stderr if "-info" in arguments else "")


async def test_four_pem_files(desk: Desk) -> None:
    """
    As in the state directory: OpenSSL verifies the leaf by the chain, and the key is the leaf's. The folder is made.
    """
    await desk.export(mode=0o640)
    folder = desk.folder / "tls"

    assert names(folder) == ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"]
    assert {mode(folder / name) for name in names(folder)} == {0o640}
    assert (folder / "fullchain.pem").read_text() == desk.bought.chain
    assert "OK" in openssl(
        "verify", "-partial_chain", "-no_check_time", "-CAfile", f"{folder}/chain.pem", f"{folder}/cert.pem"
    )
    assert openssl("pkey", "-in", f"{folder}/privkey.pem", "-pubout") == openssl("x509", "-in", f"{folder}/cert.pem", "-pubkey", "-noout")  # fmt: skip


async def test_one_pem_file(desk: Desk) -> None:
    """
    The key first, then the leaf and its chain: OpenSSL finds both in it.
    """
    export = await desk.export(format=ExportFormat.BUNDLE, file="znc.pem")

    assert (desk.folder / "tls" / "znc.pem").read_text() == desk.bought.key_pem + desk.bought.chain
    assert openssl("pkey", "-in", export.place, "-pubout") == openssl("x509", "-in", export.place, "-pubkey", "-noout")


@pytest.mark.parametrize("encryption", list(Encryption))
@pytest.mark.parametrize("rsa", [False, True])
async def test_pkcs12_with_a_password(desk: Desk, encryption: Encryption, *, rsa: bool) -> None:
    """
    OpenSSL opens it with that password alone, and finds the key, the leaf and the chain.
    """
    desk.bought = buy(WIKI, key=rsa_key() if rsa else None)
    secret = desk.folder / "password"
    secret.write_text(f"{PASSWORD}\n")
    export = await desk.export(
        format=ExportFormat.PKCS12, file="emby.pfx", password=SecretRef(file=str(secret)), encryption=encryption
    )

    found = openssl("pkcs12", "-in", export.place, "-passin", f"pass:{PASSWORD}", "-nodes")
    assert found.count("BEGIN CERTIFICATE") == 2
    assert "PRIVATE KEY" in found
    with pytest.raises(subprocess.CalledProcessError):
        openssl("pkcs12", "-in", export.place, "-passin", "pass:wrong", "-nodes")
    info = openssl("pkcs12", "-in", export.place, "-passin", f"pass:{PASSWORD}", "-info", "-noout")
    assert ("AES-256-CBC" in info) is (encryption is Encryption.AES)


async def test_pkcs12_without_a_password(desk: Desk) -> None:
    """
    OpenSSL opens it with an empty one.
    """
    export = await desk.export(format=ExportFormat.PKCS12, file="emby.pfx")

    assert "PRIVATE KEY" in openssl("pkcs12", "-in", export.place, "-passin", "pass:", "-nodes")


async def test_a_password_that_is_not_there(desk: Desk) -> None:
    """
    The error names the file, and what to do.
    """
    why = await desk.refused(format=ExportFormat.PKCS12, file="x.p12", password=SecretRef(file="/nowhere/password"))

    assert "/nowhere/password cannot be read" in why


async def test_what_is_somebody_elses_stays(desk: Desk) -> None:
    """
    Files under other names are left alone; a file in the place of one is replaced, and nothing of the work is left behind.
    """
    folder = desk.folder / "tls"
    folder.mkdir(mode=0o755)
    (folder / "dhparam.pem").write_text("mine")
    (folder / "privkey.pem").write_text("an old one")
    (folder / ".privkey.pem.gatelodge").write_text("of a daemon that died")
    await desk.export()

    assert names(folder) == ["cert.pem", "chain.pem", "dhparam.pem", "fullchain.pem", "privkey.pem"]
    assert (folder / "dhparam.pem").read_text() == "mine"
    assert (folder / "privkey.pem").read_text() == desk.bought.key_pem
    assert mode(folder) == 0o755


async def test_nothing_is_written_through_a_link(desk: Desk) -> None:
    """
    In the place of a file: refused, and what it leads to is as it was; nothing else is put in place either.
    """
    folder, victim = desk.folder / "tls", desk.folder / "victim"
    folder.mkdir()
    victim.write_text("precious")
    (folder / "privkey.pem").symlink_to(victim)

    assert "symbolic link" in await desk.refused()
    assert victim.read_text() == "precious"
    assert [path.name for path in folder.iterdir()] == ["privkey.pem"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's link")
async def test_another_users_link_is_not_followed(desk: Desk) -> None:
    """
    A link of root's on the way is; one that another user put there is refused.
    """
    (desk.folder / "real").mkdir()
    link = desk.folder / "link"
    link.symlink_to(desk.folder / "real")
    await desk.export(directory=str(link / "tls"))
    assert (desk.folder / "real" / "tls" / "cert.pem").exists()

    os.lchown(link, 65534, 65534)
    assert "another user's" in await desk.refused(directory=str(link / "other"))
    assert not (desk.folder / "real" / "other").exists()


async def test_the_state_directory_is_refused(desk: Desk) -> None:
    """
    Also when a link leads there.
    """
    link = desk.folder / "link"
    link.symlink_to(desk.state)

    assert "the daemon's own" in await desk.refused(directory=str(link / "tls"))
    assert "the daemon's own" in await desk.refused(directory=str(desk.state))
    assert list(desk.state.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_files_get_their_owner(desk: Desk) -> None:
    """
    A name or a number, for the files and a folder that is made; one that already is there keeps its own.
    """
    await desk.export(owner="nobody", group="12345", mode=0o640)
    folder = desk.folder / "tls"
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (folder, *(folder / name for name in names(folder)))}

    assert owners == {(65534, 12345)}
    assert mode(folder) == 0o750


async def test_an_owner_that_is_not_there(desk: Desk) -> None:
    """
    The error says so, and nothing is written.
    """
    assert "no user nosuchuser" in await desk.refused(owner="nosuchuser")
    assert not (desk.folder / "tls").exists()


UNPRIVILEGED = """
import os, sys
from gatelodge.exports import folders
from gatelodge.model import Export
from gatelodge.errors import ExportError
import gatelodge.exports.exporter, encodings.idna
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    folders.write(Export(directory=sys.argv[1], owner="root"), {"a": b"b"}, state_directory="/nowhere")
except ExportError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root becomes somebody else here")
async def test_a_daemon_without_root_cannot_give_files_away(desk: Desk) -> None:
    """
    It says so, and what to do; nothing is left.
    """
    folder = desk.folder / "tls"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    for each in (desk.folder, *desk.folder.parents):
        if not each.stat().st_mode & stat.S_IXOTH:
            each.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", UNPRIVILEGED, str(folder), stdout=subprocess.PIPE
    )
    said = (await process.communicate())[0].decode()

    assert "may not give files to root" in said
    assert "run the daemon as root, or leave `owner` out" in said
    assert list(folder.iterdir()) == []


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """
    A folder where something stands in the way of the third file.
    """
    folder = tmp_path / "tls"
    (folder / "fullchain.pem").mkdir(parents=True)
    return folder


async def test_all_or_nothing(desk: Desk, full: Path) -> None:
    """
    When one file cannot be put in place, none is.
    """
    assert "no file" in await desk.refused()
    assert names(full) == ["fullchain.pem"]


async def test_the_program_runs_once_all_is_there(desk: Desk) -> None:
    """
    With the names of things in few variables; nothing of the daemon's environment comes along.
    """
    os.environ["GATELODGE_TEST_SECRET"] = "hidden"
    script = desk.folder / "told"
    out = desk.folder / "out"
    script.write_text(f"#!/bin/sh\n{{ ls {desk.folder}/tls; env; }} >{out}\n")
    script.chmod(0o755)
    await desk.export(command=(str(script),))
    said = out.read_text()

    assert said.startswith("cert.pem\nchain.pem\nfullchain.pem\nprivkey.pem\n")
    assert f"GATELODGE_CERTIFICATE={WIKI}\n" in said
    assert f"GATELODGE_PLACE={desk.folder}/tls\n" in said
    assert "SECRET" not in said


async def test_a_program_that_changes_the_files(desk: Desk) -> None:
    """
    Has it fail, so that it is tried again ever less often: as a copy that is made, it would be made again at once and for ever.
    """
    script = desk.folder / "told"
    script.write_text('#!/bin/sh\nrm "$GATELODGE_PLACE/privkey.pem"\n')
    script.chmod(0o755)

    said = await desk.refused(command=(str(script),))

    assert f"{script} changed the files, or took them away" in said
    assert await desk.documents.list("journal/exports") == {}


async def test_who_changes_a_copy_each_time(desk: Desk) -> None:
    """
    Has it made again at once, and then once a minute, not without end.
    """
    held, issued = await desk.held()
    export = Export(directory=str(desk.folder / "tls"))
    await desk.exporter.export(held, issued, export)
    (desk.folder / "tls" / "cert.pem").unlink()
    assert await desk.exporter.look([export]) == {}
    await desk.exporter.export(held, issued, export)
    (desk.folder / "tls" / "cert.pem").unlink()

    assert export.mark in await desk.exporter.look([export])
    await desk.clock.advance(60)
    assert await desk.exporter.look([export]) == {}


async def test_it_is_known_after_a_restart(desk: Desk) -> None:
    """
    From what was written down; a touched file is read again and found to be the same.
    """
    export = await desk.export()
    again = FileExporter(documents=desk.documents, clock=desk.clock, state_directory=str(desk.state))
    os.utime(desk.folder / "tls" / "cert.pem")

    assert export.mark in await again.look([export])
    (desk.folder / "tls" / "cert.pem").unlink()
    assert await again.look([export]) == {}
