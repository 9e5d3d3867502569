"""
What can happen to certificates on a disk: modes, damage, foreign hands. Crashes have a file of their own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import errno
import json
import os
import re
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.certificates import QuickKeys, issued, placeholder, spec
from tests.support.clock import FakeClock
from tests.support.stores import WIKI, everything, opened
from tests.support.waiting import until

from gatelodge import durable
from gatelodge.errors import StateError
from gatelodge.ports import Issued
from gatelodge.stores import contents
from gatelodge.stores.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """
    Where the store lies; not there yet.
    """
    return tmp_path / "certificates"


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """
    Sets the umask for one test.
    """
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def with_intermediate() -> Issued:
    """
    What a CA issues: a leaf, and another certificate after it.
    """
    leaf = issued(WIKI)
    return Issued(chain=leaf.chain + issued(WIKI).chain, private_key=leaf.private_key)


def groups(folder: Path) -> set[int]:
    """
    The groups of everything below a folder that is no link.
    """
    return {each.lstat().st_gid for each in folder.rglob("*") if not each.is_symlink()}


def modes(folder: Path) -> dict[str, str]:
    """
    The modes of everything below a folder that is no link.
    """
    found = [folder, *folder.rglob("*")]
    return {
        str(each.relative_to(folder)): f"{stat.S_IMODE(each.lstat().st_mode):o}"
        for each in found
        if not each.is_symlink()
    }


async def test_layout(folder: Path) -> None:
    """
    The files lie where other programs look for them, and `current` is a relative link to the newest version.
    """
    new = issued(WIKI)
    held = await opened(folder).put(WIKI, new)
    version = folder / "wiki.example.com" / "versions" / "1"
    current = folder / "wiki.example.com" / "current"
    assert held.directory == str(version)
    assert str(current.readlink()) == "versions/1"
    assert {each.name for each in version.iterdir()} == set(contents.FILES)
    assert (version / "fullchain.pem").read_text() == new.chain
    assert (version / "cert.pem").read_text() + (version / "chain.pem").read_text() == new.chain
    assert (version / "privkey.pem").read_text() == new.private_key.reveal()
    meta = json.loads((version / "meta.json").read_text())
    assert (meta["format"], meta["names"], meta["spec"]) == (1, ["wiki.example.com"], WIKI.digest)
    assert "PRIVATE" not in (version / "meta.json").read_text()


async def test_relative_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Held certificates name absolute paths, also when the store was given a relative one.
    """
    monkeypatch.chdir(folder.parent)
    held = await opened(Path("certificates")).put(WIKI, issued(WIKI))
    assert held.directory == str(folder / "wiki.example.com" / "versions" / "1")


@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
async def test_modes_under_any_umask(folder: Path, umask: Callable[[int], int], mask: int) -> None:
    """
    Everything is the owner's alone, whatever the umask.
    """
    umask(mask)
    await opened(folder).put(WIKI, issued(WIKI))
    umask(0o022)
    for path, mode in modes(folder).items():
        assert mode == ("600" if Path(path).suffix in {".pem", ".json"} else "700"), path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to any group")
async def test_modes_for_a_group(folder: Path) -> None:
    """
    A group that was given can read everything and write nothing.
    """
    await opened(folder, group=4242).put(WIKI, issued(WIKI))
    for path, mode in modes(folder).items():
        assert mode == ("640" if Path(path).suffix in {".pem", ".json"} else "750"), path
    assert groups(folder) == {4242}


async def test_start_reads_what_was_stored(folder: Path) -> None:
    """
    A new process finds what an old one held, to the last field.
    """
    first = opened(folder)
    await first.put(WIKI, issued(WIKI))
    await first.put(dataclasses.replace(WIKI, profile="shortlived"), issued(WIKI))
    assert await opened(folder).index() == await first.index()


async def test_released_format(tmp_path: Path) -> None:
    """
    A version of format 1 is read as it was written by the first release.
    """
    shutil.copytree(Path(__file__).parent / "format-1", tmp_path / "certificates", symlinks=True)
    index = await opened(tmp_path / "certificates").index()
    held = index.held["wiki.example.com"]
    assert index.damaged == {}
    assert (held.version, held.names, held.issuer) == (1, ("wiki.example.com",), "acme:letsencrypt")
    assert (held.key, held.profile, held.not_after.year) == ("ecdsa-p256", None, 2099)


@pytest.mark.parametrize("file", contents.FILES)
@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(lambda path: path.write_bytes(b""), id="emptied"),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2] or b"x"), id="half"
        ),
        pytest.param(lambda path: path.write_bytes(b"\0" * 800), id="zeros"),
        pytest.param(lambda path: path.write_bytes(b"x" * 2_000_000), id="huge"),
        pytest.param(lambda path: (path.unlink(), path.mkdir()), id="a folder"),
        pytest.param(lambda path: (path.unlink(), os.mkfifo(path)), id="a pipe"),
        pytest.param(lambda path: (path.rename(path.with_name("real")), path.symlink_to("real")), id="a link"),
    ],
)
async def test_damage(folder: Path, file: str, harm: Callable[[Path], object]) -> None:
    """
    A version with any file damaged in any way is not held: the one before is, `current` leads to it, and the reason names the
    file. Nothing is deleted, and the next certificate gets a new number.
    """
    store = opened(folder)
    before = await store.put(WIKI, with_intermediate())
    after = await store.put(WIKI, with_intermediate())
    path = Path(after.directory) / file
    harm(path)
    await store.verify()
    index = await store.index()
    assert index.held == {WIKI.name: before}
    assert index.versions == {WIKI.name: (1,)}
    assert str(path.parent) in index.damaged[WIKI.name]
    assert file in index.damaged[WIKI.name]
    assert str((folder / WIKI.name / "current").readlink()) == "versions/1"
    assert path.parent.is_dir()
    with pytest.raises(StateError, match=r"renew the certificate"):
        await store.read(WIKI.name, 2)
    assert (await store.put(WIKI, issued(WIKI))).version == 3
    assert (await store.index()).damaged == {}


@pytest.mark.parametrize("file", [contents.FULL_CHAIN, contents.KEY])
async def test_damage_is_seen_without_verify(folder: Path, file: str) -> None:
    """
    Damage to what nginx opens is seen by the next index.
    """
    store = opened(folder)
    held = await store.put(WIKI, issued(WIKI))
    await store.index()
    (Path(held.directory) / file).write_text("damaged")
    index = await store.index()
    assert index.held == {}
    assert file in index.damaged[WIKI.name]


async def test_repair_is_seen(folder: Path) -> None:
    """
    A version that a person restored is held again.
    """
    store = opened(folder)
    held = await store.put(WIKI, issued(WIKI))
    key = Path(held.directory) / contents.KEY
    saved = key.read_text()
    key.write_text("damaged")
    assert (await store.index()).held == {}
    key.write_text(saved)
    index = await store.index()
    assert (index.held, index.damaged) == ({WIKI.name: held}, {})


async def test_older_damage_is_no_alarm(folder: Path) -> None:
    """
    A damaged older version is not listed, and nothing is said while the newest is intact.
    """
    store = opened(folder)
    first = await store.put(WIKI, issued(WIKI))
    await store.put(WIKI, issued(WIKI))
    (Path(first.directory) / contents.KEY).unlink()
    await store.verify()
    index = await store.index()
    assert index.versions == {WIKI.name: (2,)}
    assert index.damaged == {}


def test_rsa_damage() -> None:
    """
    An RSA key whose private number was changed is damaged, though its public half still fits.
    """
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.private_numbers()
    assert contents._consistent(key)
    wrong = rsa.RSAPrivateNumbers(
        numbers.p, numbers.q, numbers.d + 2, numbers.dmp1, numbers.dmq1, numbers.iqmp, numbers.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    leaf = _leaf_with(key)
    pem = wrong.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(contents.Damaged, match="do not belong together"):
        contents._check_key(leaf, pem)


def _leaf_with(key: object) -> object:
    name = x509.Name([])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
        .sign(key, hashes.SHA256())
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("names", []),
        ("names", ["other.example.com"]),
        ("names", None),
        ("not_after", "2199-01-01T00:00:00+00:00"),
        ("serial", "1"),
        ("fingerprint", "00"),
        ("key", "dsa"),
        ("stored_at", "2026-01-01T00:00:00"),
        ("stored_at", "yesterday"),
        ("format", "1"),
        ("format", None),
    ],
)
async def test_description_that_lies(folder: Path, field: str, value: object) -> None:
    """
    A version whose description is not that of its leaf, or makes no sense, is damaged.
    """
    store = opened(folder)
    held = await store.put(WIKI, issued(WIKI))
    path = Path(held.directory) / contents.META
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    await store.verify()
    index = await store.index()
    assert index.held == {}
    assert contents.META in index.damaged[WIKI.name]


async def test_placeholder_over_damage(folder: Path) -> None:
    """
    A placeholder may stand in for a certificate that is no longer intact.
    """
    store = opened(folder)
    held = await store.put(WIKI, issued(WIKI))
    (Path(held.directory) / contents.KEY).unlink()
    assert (await store.put(placeholder(), issued(WIKI))).version == 2


async def test_newer_format(folder: Path) -> None:
    """
    A version of a format from the future is damage that says what to do; nothing follows it, and it stays untouched.
    """
    other = spec("other.example.com")
    store = opened(folder)
    held = await store.put(WIKI, issued(WIKI))
    path = Path(held.directory) / contents.META
    path.write_text('{"format": 2}')
    intact = await store.put(other, issued(other))
    await store.verify()
    index = await store.index()
    assert index.held == {other.name: intact}
    assert re.search(
        r"meta\.json.*written by a newer Gatelodge \(format 2, this one knows 1\).*upgrade", index.damaged[WIKI.name]
    )
    for wanted in (WIKI, placeholder()):
        with pytest.raises(StateError, match="upgrade"):
            await opened(folder).put(wanted, issued(WIKI))
    await store.prune([(WIKI.name, 1)])
    assert path.read_text() == '{"format": 2}'
    assert [each.name for each in path.parent.parent.iterdir()] == ["1"]


def refusing(monkeypatch: pytest.MonkeyPatch, path: Path, code: int) -> None:
    """
    Let the opening of a file fail, as it does for a user who may not: tests may run as root, who may everything.
    """
    real = os.open

    def fail(asked: str | Path, *more: int, **keywords: int) -> int:
        if str(asked) == str(path):
            raise OSError(code, os.strerror(code), str(asked))
        return real(asked, *more, **keywords)

    monkeypatch.setattr(os, "open", fail)


async def test_file_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Root's leftover costs only its own certificate: it is named, an older one is held, nothing follows it; and once it may be read
    it is held again, though the file looks the same.
    """
    store, other = opened(folder), spec("other.example.com")
    first = await store.put(WIKI, issued(WIKI))
    second = await store.put(WIKI, issued(WIKI))
    intact = await store.put(other, issued(other))
    key = Path(second.directory) / contents.KEY
    with monkeypatch.context() as patch:
        refusing(patch, key, errno.EACCES)
        await store.verify()
        index = await store.index()
        assert index.held == {WIKI.name: first, other.name: intact}
        assert index.damaged == {WIKI.name: str(durable.state_error(key, PermissionError(errno.EACCES, "denied")))}
        before = everything(folder)
        for each in (store, opened(folder)):
            with pytest.raises(StateError, match="permission is denied") as raised:
                await each.put(WIKI, issued(WIKI))
            assert raised.value.path == str(key)
        await store.prune([(WIKI.name, 1)])
        assert everything(folder) == before
    assert (await store.index()).held[WIKI.name] == second
    assert (await store.put(WIKI, issued(WIKI))).version == 3


async def test_old_version_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One that is followed by an intact version stands in nobody's way.
    """
    store = opened(folder)
    first = await store.put(WIKI, issued(WIKI))
    second = await store.put(WIKI, issued(WIKI))
    refusing(monkeypatch, Path(first.directory) / contents.META, errno.EACCES)
    await store.verify()
    index = await store.index()
    assert (index.held, index.damaged) == ({WIKI.name: second}, {})
    assert (await store.put(WIKI, issued(WIKI))).version == 3


async def test_folder_that_may_not_be_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A certificate whose folder is closed to us costs no other either.
    """
    store, other = opened(folder), spec("other.example.com")
    await store.put(WIKI, issued(WIKI))
    intact = await store.put(other, issued(other))
    closed, real = str(folder / WIKI.name / "versions"), os.scandir

    def scandir(path: str | Path) -> object:
        if str(path) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", closed)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    index = await opened(folder).index()
    assert index.held == {other.name: intact}
    assert index.damaged[WIKI.name].startswith(f"{closed}: permission is denied")
    with pytest.raises(StateError, match="permission is denied"):
        await opened(folder).put(WIKI, issued(WIKI))


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENOMEM])
async def test_machine_that_is_short_of_something(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """
    Too many open files are no reason to take certificates for damaged and to order them all anew.
    """
    store = opened(folder)
    held = await store.put(WIKI, issued(WIKI))
    await store.verify()
    with monkeypatch.context() as patch:
        refusing(patch, Path(held.directory) / contents.KEY, code)
        with pytest.raises(StateError):
            await store.index()
    assert (await store.index()).held == {WIKI.name: held}


async def test_read_only_beside_a_daemon(folder: Path) -> None:
    """
    A store opened read-only looks and touches nothing: what looks like a leftover is a living daemon's work.
    """
    held = await opened(folder).put(WIKI, issued(WIKI))
    work = folder / WIKI.name / "versions" / ".new"
    work.mkdir()
    (folder / WIKI.name / "current").unlink()
    index = await opened(folder, read_only=True).index()
    assert index.held == {WIKI.name: held}
    assert work.is_dir()
    assert not (folder / WIKI.name / "current").is_symlink()


async def test_current_is_mended(folder: Path) -> None:
    """
    `current` leads to the version held again after someone moved or removed it.
    """
    for _ in range(2):
        await opened(folder).put(WIKI, issued(WIKI))
    current = folder / WIKI.name / "current"
    current.unlink()
    current.symlink_to("versions/1")
    await opened(folder).index()
    assert str(current.readlink()) == "versions/2"


def test_link_in_place_of_a_certificate(tmp_path: Path, folder: Path) -> None:
    """
    A link under a certificate's name is not followed: not read, not written through, not deleted through.
    """
    outside = tmp_path / "outside"
    asyncio.run(opened(outside).put(WIKI, issued(WIKI)))
    folder.mkdir()
    (folder / WIKI.name).symlink_to(outside / WIKI.name)
    before = everything(outside)

    async def work() -> None:
        store = opened(folder)
        assert (await store.index()).held == {}
        with pytest.raises(KeyError):
            await store.read(WIKI.name, 1)
        with pytest.raises(StateError, match="symbolic link"):
            await store.put(WIKI, issued(WIKI))
        await store.prune([(WIKI.name, 1)])
        await store.delete(WIKI.name)

    asyncio.run(work())
    assert everything(outside) == before


@pytest.mark.parametrize("blocked", [".", WIKI.name, f"{WIKI.name}/versions"])
async def test_file_where_a_folder_should_be(folder: Path, blocked: str) -> None:
    """
    A file that stands in the way makes a put fail with its path and what to do.
    """
    path = folder / blocked
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    with pytest.raises(StateError, match=r"move .* away|move it away") as raised:
        await opened(folder).put(WIKI, issued(WIKI))
    assert raised.value.path.startswith(str(path))


async def test_stray_files_are_no_certificates(folder: Path) -> None:
    """
    What people leave in the folder is not taken for certificates or versions.
    """
    store = opened(folder)
    held = await store.put(WIKI, issued(WIKI))
    (folder / "README").write_text("hands off")
    (folder / "empty").mkdir()
    (folder / ".hidden").mkdir()
    for name in ("02", "-1", "1.bak", "\u0661", "old"):
        shutil.copytree(held.directory, folder / WIKI.name / "versions" / name)
    index = await opened(folder).index()
    assert index.held == {WIKI.name: held}
    assert index.versions == {WIKI.name: (1,)}
    assert index.damaged == {}


async def test_hands_are_noticed(folder: Path) -> None:
    """
    Versions and certificates that a person removes are gone from the next index.
    """
    other = spec("other.example.com")
    store = opened(folder)
    first = await store.put(WIKI, issued(WIKI))
    second = await store.put(WIKI, issued(WIKI))
    await store.put(other, issued(other))
    await store.index()
    shutil.rmtree(second.directory)
    shutil.rmtree(folder / other.name)
    index = await store.index()
    assert index.held == {WIKI.name: first}
    assert index.versions == {WIKI.name: (1,)}


async def test_index_reads_nothing_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An index over a store that did not change reads no file; `verify` makes the next one read all.
    """
    store = opened(folder)
    wanted = [spec(f"{number}.example.com") for number in range(5)]
    for each in wanted:
        await store.put(each, issued(each))
    reads: list[object] = []
    real = os.read

    def read(descriptor: int, size: int) -> bytes:
        reads.append(descriptor)
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", read)
    await store.index()
    assert reads == []
    await store.verify()
    await store.index()
    assert len(reads) >= 5 * len(contents.FILES)


async def test_prune_keeps_the_newest_intact(folder: Path) -> None:
    """
    Neither the newest version nor the newest intact one is pruned.
    """
    store = opened(folder)
    held = [await store.put(WIKI, issued(WIKI)) for _ in range(3)]
    (Path(held[2].directory) / contents.KEY).unlink()
    await store.prune([(WIKI.name, number) for number in (1, 2, 3)])
    assert sorted(each.name for each in (folder / WIKI.name / "versions").iterdir()) == ["2", "3"]


async def test_deleting_remembers_the_last_number(folder: Path) -> None:
    """
    The number of a damaged version is not used again either, though `current` did not lead to it when all was deleted.
    """
    store = opened(folder)
    await store.put(WIKI, issued(WIKI))
    damaged = await store.put(WIKI, issued(WIKI))
    (Path(damaged.directory) / contents.KEY).unlink()
    assert (await store.index()).held[WIKI.name].version == 1
    await store.delete(WIKI.name)
    assert (await store.put(WIKI, issued(WIKI))).version == 3


async def test_version_that_goes_while_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A version that a daemon deletes while another process reads it was never damaged.
    """
    store = opened(folder)
    for _ in range(2):
        held = await store.put(WIKI, issued(WIKI))
    real = os.read

    def read(descriptor: int, size: int) -> bytes:
        shutil.rmtree(folder / WIKI.name / "versions" / "2", ignore_errors=True)
        return real(descriptor, size)

    with monkeypatch.context() as patch:
        patch.setattr(os, "read", read)
        index = await opened(folder, read_only=True).index()
    assert held.version == 2
    assert index.versions == {WIKI.name: (1,)}
    assert index.damaged == {}


async def test_secrets_stay_secret(folder: Path) -> None:
    """
    No message about damage quotes a private key.
    """
    store = opened(folder)
    secret = (await QuickKeys().new(WIKI.key)).reveal()
    held = await store.put(WIKI, issued(WIKI))
    (Path(held.directory) / contents.KEY).write_text(secret)
    index = await store.index()
    assert "does not fit" in index.damaged[WIKI.name]
    assert secret.splitlines()[1] not in index.damaged[WIKI.name]
    assert "PRIVATE" not in repr(index)


async def test_looking_while_writing(folder: Path) -> None:
    """
    Another process that looks while versions come and go never sees damage, nor a gap.
    """
    writer, reader = opened(folder), opened(folder, read_only=True)
    await writer.put(WIKI, issued(WIKI))
    seen: list[int] = []

    async def look() -> None:
        while seen[-1:] != [15]:
            await reader.verify()
            index = await reader.index()
            assert index.damaged == {}
            seen.append(index.held[WIKI.name].version)

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        for number in range(2, 16):
            await writer.put(WIKI, issued(WIKI))
            await writer.prune([(WIKI.name, number - 1)])
        await until(lambda: seen[-1:] == [15])
    assert seen == sorted(seen)


async def test_what_is_pruned_while_somebody_looks_is_not_left_out(folder: Path) -> None:
    """
    A pass looks while a job prunes in a thread of its own; a certificate that seemed to be gone would get a placeholder.
    """

    class Interrupted(DirectoryStore):
        """
        Is pruned in the middle of each look.
        """

        pruning = True

        def _changed(self, names: Sequence[str]) -> list[str]:
            changed = super()._changed(names)
            if not self.pruning:
                self.pruning = True
                self._prune({WIKI.name: {1}})
                self.pruning = False
            return changed

    store = Interrupted(directory=str(folder), clock=FakeClock())
    for _ in range(2):
        await store.put(WIKI, issued(WIKI))
    store.pruning = False
    for _ in range(2):
        assert (await store.index()).held[WIKI.name].version == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("names", [["wiki.example.com"]]), ("profile", {}), ("stored_at", "0001-01-01T00:00:00+14:00"), ("key", "")],
)
async def test_a_description_that_makes_no_sense(folder: Path, field: str, value: object) -> None:
    """
    The version before is held, and this one is told.
    """
    store = opened(folder)
    first = await store.put(WIKI, issued(WIKI))
    second = await store.put(WIKI, issued(WIKI))
    meta = Path(second.directory) / contents.META
    meta.write_text(json.dumps({**json.loads(meta.read_text()), field: value}))
    index = await opened(folder).index()
    assert index.held == {WIKI.name: first}
    assert contents.META in index.damaged[WIKI.name]


async def test_a_key_among_bytes_that_are_no_text(folder: Path) -> None:
    """
    It is damage, told without them.
    """
    store = opened(folder)
    held = await store.put(WIKI, issued(WIKI))
    key = Path(held.directory) / contents.KEY
    key.write_bytes(b"\xfc\n" + key.read_bytes())
    index = await opened(folder).index()
    assert index.damaged[WIKI.name].endswith("it is not text")


async def test_what_is_called_like_the_next_version_stays(folder: Path) -> None:
    """
    Another number is taken.
    """
    store = opened(folder)
    first = await store.put(WIKI, issued(WIKI))
    strange = Path(first.directory).with_name("2")
    strange.write_bytes(b"good")
    assert (await store.put(WIKI, issued(WIKI))).version == 3
    assert strange.read_bytes() == b"good"
