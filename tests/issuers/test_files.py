"""
Certificates that the user brings: what is taken, what is refused and in which words, and when a change counts.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12
from tests.support.clock import START, FakeClock
from tests.support.pems import DAY, Bought, buy, pem, rsa_key

from gatelodge.errors import IssuanceError
from gatelodge.issuers.files import BroughtFiles, Unfit, load
from gatelodge.model import FILES, CertificateSpec, FileIssuer, KeyKind, Name
from gatelodge.stores.memory import MemoryStore

WIKI = "wiki.example.com"
BOUGHT = buy(WIKI, "www.example.com")
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8, PLAIN = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


def wanted(folder: Path, *names: str) -> CertificateSpec:
    """
    A spec for the files that `Bought.lay` writes.
    """
    files = FileIssuer(certificate=str(folder / "site.crt"), key=str(folder / "site.key"))
    return CertificateSpec(name=WIKI, names=tuple(map(Name, names or (WIKI,))), issuer=files)


def run(command: list[str], folder: Path) -> str:
    """
    Run a program to its end and return what it wrote.
    """
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


async def refused(spec: CertificateSpec) -> str:
    """
    Return why files are of no use; they are seen to be of none, too.
    """
    assert isinstance(spec.issuer, FileIssuer)
    with pytest.raises(IssuanceError) as caught:
        await BroughtFiles(clock=FakeClock()).take(spec)
    problem = caught.value.problem
    assert problem.type == "files"
    assert problem.detail.startswith(f"{spec.name}: ")
    return problem.detail


async def test_what_is_taken_is_what_lies_there(tmp_path: Path) -> None:
    """
    Its whole chain and its key, for all names that it has; a store takes it, and remembers which chain it was.
    """
    BOUGHT.lay(tmp_path)
    spec, clock = wanted(tmp_path), FakeClock()
    brought = BroughtFiles(clock=clock)
    found = (await brought.look({WIKI: spec.issuer}))[WIKI]  # type: ignore[dict-item]
    stored, issued = await brought.take(spec)
    held = await MemoryStore(clock=clock).put(stored, issued)

    assert issued.chain == BOUGHT.chain
    assert issued.private_key.reveal() == BOUGHT.key_pem
    assert (held.issuer, held.brought, held.names) == (FILES, True, (WIKI, "www.example.com"))
    assert held.chain == found.chain
    assert held.key is KeyKind.ECDSA_P256


async def test_more_names_and_wildcards_are_good_for_the_hosts(tmp_path: Path) -> None:
    """
    Bought ones are seldom for exactly the hosts of one site; addresses count too.
    """
    buy("*.example.com", "example.com", "192.0.2.7").lay(tmp_path)
    stored, _ = await BroughtFiles(clock=FakeClock()).take(wanted(tmp_path, WIKI, "192.0.2.7"))
    assert stored.names == ("*.example.com", "example.com", "192.0.2.7")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (ec.generate_private_key(ec.SECP384R1()), KeyKind.ECDSA_P384),
        (rsa_key(), KeyKind.RSA_2048),
        (ed25519.Ed25519PrivateKey.generate(), KeyKind.ECDSA_P256),
        (ec.generate_private_key(ec.SECP521R1()), KeyKind.ECDSA_P256),
    ],
)
async def test_every_kind_of_key_that_servers_use_is_taken(tmp_path: Path, key: object, kind: KeyKind) -> None:
    """
    Under the word that we have for it, else the usual one.
    """
    buy(WIKI, key=key).lay(tmp_path)  # type: ignore[arg-type]
    stored, _ = await BroughtFiles(clock=FakeClock()).take(wanted(tmp_path))
    assert stored.key is kind


async def test_files_as_people_have_them_are_read(tmp_path: Path) -> None:
    """
    Both in one file; words around them; parameters before an old form of the key; Windows' ends of lines; links.
    """
    old = BOUGHT.key.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, PLAIN).decode()
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    text = f"subject=CN = wiki\n{BOUGHT.chain}\nBag Attributes\n{parameters}{old}".replace("\n", "\r\n")
    (tmp_path / "all.pem").write_text(text)
    for name in ("site.crt", "site.key"):
        (tmp_path / name).symlink_to("all.pem")
    _, issued = await BroughtFiles(clock=FakeClock()).take(wanted(tmp_path))
    assert (issued.chain, issued.private_key.reveal()) == (BOUGHT.chain, BOUGHT.key_pem)


async def test_an_expired_one_is_taken(tmp_path: Path) -> None:
    """
    What he brings is what he wants served; that it has ended is told elsewhere.
    """
    buy(WIKI, begins=START - 9 * DAY, ends=START - DAY).lay(tmp_path)
    stored, _ = await BroughtFiles(clock=FakeClock()).take(wanted(tmp_path))
    assert stored.name == WIKI


async def test_hosts_that_it_is_not_for_are_named(tmp_path: Path) -> None:
    """
    All of them, beside the names that it has.
    """
    BOUGHT.lay(tmp_path)
    why = await refused(wanted(tmp_path, WIKI, "chat.example.com", "a.wiki.example.com"))
    assert "is for wiki.example.com, www.example.com, and not for chat.example.com, a.wiki.example.com;" in why


async def test_a_key_with_a_password_is_refused_with_the_way_to_take_it_off(tmp_path: Path) -> None:
    """
    Whether in the new form or the old; nothing of it is told.
    """
    for form in (PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        _, key = BOUGHT.lay(tmp_path)
        key.write_text(BOUGHT.locked(form))
        why = await refused(wanted(tmp_path))
        assert f"openssl pkey -in {key} -out NEW.key" in why
        assert "is encrypted" in why
        assert BOUGHT.locked(form)[60:90] not in why


async def test_the_way_that_is_told_works(tmp_path: Path) -> None:
    """
    openssl, asked as we say, makes a key that is taken.
    """
    _, key = BOUGHT.lay(tmp_path)
    key.write_text(BOUGHT.locked())
    command = re.search(r"openssl pkey -in \S+ -out NEW\.key", await refused(wanted(tmp_path)))
    assert command is not None
    run([*command[0].split(), "-passin", "pass:a password"], tmp_path)
    (tmp_path / "NEW.key").replace(key)
    _, issued = await BroughtFiles(clock=FakeClock()).take(wanted(tmp_path))
    assert issued.private_key.reveal() == BOUGHT.key_pem


async def test_two_that_do_not_belong_together_are_told_apart(tmp_path: Path) -> None:
    """
    Another's key; or the chain in the wrong order, which is another thing to do.
    """
    certificate, key = BOUGHT.lay(tmp_path)
    certificate.write_text("".join(map(pem, (*BOUGHT.above, BOUGHT.leaf))))
    assert f"{key} is the key of certificate number 2 in {certificate}" in await refused(wanted(tmp_path))
    buy(WIKI).lay(tmp_path, "other")
    certificate.write_text((tmp_path / "other.crt").read_text())
    assert f"{key} is not the key of the certificate in {certificate}" in await refused(wanted(tmp_path))


def other_forms() -> dict[str, tuple[bytes, str]]:
    """
    What may lie where a certificate should, and what is told.
    """
    mine = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(mine, hashes.SHA256())
    return {
        "nothing": (b"", "holds no certificate"),
        "text": (b"hello", "holds no certificate"),
        "a key": (BOUGHT.key_pem.encode(), "holds a private key; name the certificate here"),
        "a request": (request.public_bytes(PEM), "a request, no certificate"),
        "half of one": (BOUGHT.chain.encode()[:300], "a certificate that cannot be read"),
        "DER": (BOUGHT.leaf.public_bytes(DER), "openssl x509 -inform der -in"),
        "PKCS#7": (pkcs7.serialize_certificates([BOUGHT.leaf], PEM), "openssl pkcs7 -print_certs -in"),
        "PKCS#12": (
            pkcs12.serialize_key_and_certificates(None, BOUGHT.key, BOUGHT.leaf, None, PLAIN),
            "openssl pkcs12 -nodes -in",
        ),
    }


@pytest.mark.parametrize("form", ["nothing", "text", "a key", "a request", "half of one", "DER", "PKCS#7", "PKCS#12"])
async def test_what_is_no_chain_is_told_for_what_it_is(tmp_path: Path, form: str) -> None:
    """
    With the command that makes one of it, where there is one.
    """
    certificate, _ = BOUGHT.lay(tmp_path)
    content, words = other_forms()[form]
    certificate.write_bytes(content)
    why = await refused(wanted(tmp_path))
    assert str(certificate) in why
    assert words in why


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no private key"),
        (BOUGHT.chain.encode(), "holds a certificate; name the private key here"),
        (BOUGHT.key.private_bytes(DER, PKCS8, PLAIN), "openssl pkey -inform der -in"),
        (BOUGHT.key_pem.replace("MIG", "NIG").encode(), "cannot be read"),
        (BOUGHT.key_pem[:100].encode(), "cannot be read"),
        (dsa.generate_private_key(2048).private_bytes(PEM, PKCS8, PLAIN), "of a kind that servers do not use"),
    ],
    ids=["nothing", "a chain", "DER", "broken", "half", "DSA"],
)
async def test_what_is_no_key_is_told_for_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    """
    As with chains.
    """
    _, key = BOUGHT.lay(tmp_path)
    key.write_bytes(content)
    why = await refused(wanted(tmp_path))
    assert str(key) in why
    assert words in why


async def test_what_no_browser_takes_is_refused_before_nginx_is_asked(tmp_path: Path) -> None:
    """
    An RSA key that is too short, and names where nobody looks for them.
    """
    buy(WIKI, key=rsa_key(1024)).lay(tmp_path)
    assert "has 1024 bits" in await refused(wanted(tmp_path))
    buy().lay(tmp_path)
    assert "subjectAltName=DNS:HOST" in await refused(wanted(tmp_path))


@pytest.mark.parametrize("which", ["site.crt", "site.key"])
async def test_files_that_are_none_are_named(tmp_path: Path, which: str) -> None:
    """
    Missing, a folder, a pipe that nobody writes to, a disk image.
    """
    BOUGHT.lay(tmp_path)
    file = tmp_path / which
    file.unlink()
    assert f"{file} is not there;" in await refused(wanted(tmp_path))
    file.mkdir()
    assert f"{file} cannot be read: it is no regular file;" in await refused(wanted(tmp_path))
    file.rmdir()
    os.mkfifo(file)
    assert f"{file} cannot be read: it is no regular file;" in await refused(wanted(tmp_path))
    file.unlink()
    file.write_bytes(b"x" * (2 << 20))
    assert f"{file} cannot be read: it is far too large" in await refused(wanted(tmp_path))


ASK_AS_NOBODY = """
import os, sys
from gatelodge.issuers.files import Unfit, load
from gatelodge.model import FileIssuer
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    load(FileIssuer(certificate=sys.argv[1], key=sys.argv[2]))
except Unfit as unfit:
    print(unfit)
"""


def told_to_nobody(folder: Path) -> str:
    """
    Return what somebody without rights is told.
    """
    command = [sys.executable, "-c", ASK_AS_NOBODY, str(folder / "site.crt"), str(folder / "site.key")]
    return run(command, Path("/")).strip()


def test_who_may_not_read_them_is_told_who_he_is_and_what_mends_it() -> None:
    """
    The file itself, or the first folder that is closed to him, a link's included; what is told is what helps.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        private = folder / "private"
        private.mkdir(mode=0o755)
        certificate, key = BOUGHT.lay(private)
        for file in (certificate, key):
            (folder / file.name).symlink_to(file)
        key.chmod(0o000)
        why = told_to_nobody(folder)
        assert re.fullmatch(
            rf"{folder}/site\.key cannot be read by \S+, as whom this runs; chgrp (\S+) (\S+) && chmod g\+r \2", why
        )
        key.chmod(0o644)
        assert told_to_nobody(folder) == ""
        private.chmod(0o000)
        why = told_to_nobody(folder)
        assert f"may not enter {private}; chgrp " in why
        assert why.endswith(f"&& chmod g+x {private}")
        private.chmod(0o755)


async def test_a_change_counts_when_it_has_stood_still(tmp_path: Path) -> None:
    """
    Two files are not replaced in one moment: what lies between is nobody's certificate, and nothing is told of it.
    """
    certificate, key = BOUGHT.lay(tmp_path)
    files, clock = FileIssuer(certificate=str(certificate), key=str(key)), FakeClock()
    brought = BroughtFiles(clock=clock)

    async def seen() -> tuple[str, str | None, bool]:
        found = (await brought.look({WIKI: files}))[WIKI]
        return found.mark, found.chain, found.changing

    before = await seen()
    assert before == await seen()
    newer = buy(WIKI)
    certificate.write_text(newer.chain)
    assert await seen() == (*before[:2], True)
    await clock.advance(1)
    key.write_text(newer.key_pem)
    assert await seen() == (*before[:2], True)
    await clock.advance(1)
    assert await seen() == (*before[:2], True), "the key has not stood still yet"
    await clock.advance(1)
    after = await seen()
    assert after[2] is False
    assert after[0] != before[0]
    assert after[1] not in {None, before[1]}


async def test_what_is_of_no_use_is_marked_too(tmp_path: Path) -> None:
    """
    So that it is tried again when it changes, and not before: by contents, mode, or an appearing file.
    """
    certificate, key = BOUGHT.lay(tmp_path)
    files, clock = FileIssuer(certificate=str(certificate), key=str(key)), FakeClock()
    brought = BroughtFiles(clock=clock)
    marks = []

    async def look() -> str | None:
        await brought.look({WIKI: files})
        await clock.advance(3)
        found = (await brought.look({WIKI: files}))[WIKI]
        marks.append(found.mark)
        return found.chain

    good = await look()
    key.write_text(BOUGHT.locked())
    assert await look() is None
    key.write_text(buy(WIKI).key_pem)
    assert await look() is None
    key.unlink()
    assert await look() is None
    key.write_text(BOUGHT.key_pem)
    assert await look() == good
    assert len({*marks[:4]}) == 4
    assert marks[4] == marks[0]


async def test_a_chain_that_was_completed_is_another(tmp_path: Path) -> None:
    """
    The leaf alone was forgotten to be followed by who signed it: a new version, though the leaf is the same.
    """
    certificate, key = BOUGHT.lay(tmp_path)
    files = FileIssuer(certificate=str(certificate), key=str(key))
    whole = (await BroughtFiles(clock=FakeClock()).look({WIKI: files}))[WIKI]
    certificate.write_text(pem(BOUGHT.leaf))
    alone = (await BroughtFiles(clock=FakeClock()).look({WIKI: files}))[WIKI]
    assert alone.chain not in {None, whole.chain}


def test_no_text_holds_a_part_of_a_key(tmp_path: Path) -> None:
    """
    Whatever is wrong with it.
    """
    certificate, key = BOUGHT.lay(tmp_path)
    text = BOUGHT.key_pem
    for broken in (text[:-60], text.replace("MIG", "MIH"), BOUGHT.locked()):
        key.write_text(broken)
        with pytest.raises(Unfit) as caught:
            load(FileIssuer(certificate=str(certificate), key=str(key)))
        assert not any(line and line in str(caught.value) for line in broken.splitlines()[1:])


def test_bought_is_what_openssl_takes(tmp_path: Path) -> None:
    """
    What these tests bring would be believed by whoever trusts their CA.
    """
    bought: Bought = BOUGHT
    certificate, _ = bought.lay(tmp_path)
    (tmp_path / "ca.pem").write_text(pem(bought.above[0]))
    at = str(int(START.timestamp()))
    command = ["openssl", "verify", "-partial_chain", "-attime", at, "-CAfile", "ca.pem", str(certificate)]
    assert "OK" in run(command, tmp_path)
