"""
What the CA of this machine signs, for whom, for how long; and what becomes of its root.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import datetime as dt
import ipaddress
import itertools
import os
import re
import shutil
import stat
import subprocess
import textwrap
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from tests.support.certificates import QuickKeys
from tests.support.clock import START, FakeClock

from gatelodge.errors import IssuanceError, StateError
from gatelodge.issuers import local
from gatelodge.issuers.local import Local
from gatelodge.issuers.selfsigned import general_name
from gatelodge.issuers.subject import find_other_name
from gatelodge.model import CaSubject, CertificateSpec, LocalIssuer, Name, is_ip

if TYPE_CHECKING:
    from pathlib import Path

    from gatelodge.ports import Issued


def wanted(*names: str) -> CertificateSpec:
    """
    A spec for a LAN certificate.
    """
    return CertificateSpec(name="lan", names=tuple(map(Name, names)), issuer=LocalIssuer())


def authority(folder: Path, clock: FakeClock | None = None, subject: CaSubject | None = None) -> Local:
    """
    The CA, as after a start.
    """
    return Local(
        directory=str(folder / "ca"), clock=clock or FakeClock(), keys=QuickKeys(), subject=subject or CaSubject()
    )


async def issue(ca: Local, *names: str) -> Issued:
    """
    Have a certificate issued.
    """
    async with ca.issue(wanted(*names), progress=lambda _: None) as issued:
        return issued


def certificates(issued: Issued) -> tuple[x509.Certificate, x509.Certificate]:
    """
    The leaf and the intermediate.
    """
    leaf, intermediate = x509.load_pem_x509_certificates(issued.chain.encode())
    return leaf, intermediate


def believed(root: str, leaf: x509.Certificate, intermediate: x509.Certificate, name: str) -> bool:
    """
    Tell whether a careful visitor who imported the root believes the leaf for a name.
    """
    subject = x509.IPAddress(ipaddress.ip_address(name)) if is_ip(name) else x509.DNSName(name)
    verifier = (
        PolicyBuilder()
        .store(Store([x509.load_pem_x509_certificate(root.encode())]))
        .time(START + dt.timedelta(days=1))
        .build_server_verifier(subject)
    )
    try:
        verifier.verify(leaf, [intermediate])
    except VerificationError:
        return False
    return True


def openssl_believes(
    folder: Path, root: str, leaf: x509.Certificate, intermediate: x509.Certificate, name: str
) -> bool:
    """
    Tell whether openssl believes it.
    """
    for file, text in (
        ("root", root.encode()),
        ("leaf", leaf.public_bytes(serialization.Encoding.PEM)),
        ("intermediate", intermediate.public_bytes(serialization.Encoding.PEM)),
    ):
        (folder / file).write_bytes(text)
    at = str(int((START + dt.timedelta(days=1)).timestamp()))
    kind = "-verify_ip" if is_ip(name) else "-verify_hostname"
    command = ["openssl", "verify", "-x509_strict", "-attime", at, "-purpose", "sslserver"]
    command += ["-CAfile", "root", "-untrusted", "intermediate", kind, name, "leaf"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "names",
    [
        ["nas.home.arpa"],
        ["nas"],
        ["*.home.arpa", "home.arpa"],
        ["192.168.1.7"],
        ["fd00::7", "192.168.1.7"],
        ["nas.home.arpa", "192.168.1.7"],
        ["nas_old.home.arpa"],
        [f"{'a' * 60}.{'b' * 60}.home.arpa"],
    ],
)
async def test_visitors_believe_it(tmp_path: Path, names: list[str]) -> None:
    """
    Who imported the root believes the certificate for each of its names, and for no other.
    """
    ca = authority(tmp_path)
    leaf, intermediate = certificates(await issue(ca, *names))
    root = await ca.root_pem()
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(san) == [general_name(Name(name)) for name in names]
    for name in names:
        visited = name.replace("*.", "any.")
        assert openssl_believes(tmp_path, root, leaf, intermediate, visited), name
        if "_" not in name:  # not a host name to the strict verifier
            assert believed(root, leaf, intermediate, visited), name
    for name in ("bank.example.com", "192.168.1.8"):
        assert not believed(root, leaf, intermediate, name)
        assert not openssl_believes(tmp_path, root, leaf, intermediate, name)


def rogue(intermediate: x509.Certificate, key: ec.EllipticCurvePrivateKey, name: str) -> x509.Certificate:
    """
    A leaf for a name, made by a thief of the intermediate's key.
    """
    leaf = ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(intermediate.subject)
        .public_key(leaf.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(intermediate.not_valid_before_utc)
        .not_valid_after(intermediate.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([general_name(Name(name))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(leaf.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


@pytest.mark.parametrize(
    ("permitted", "name", "allowed"),
    [
        (["nas.home.arpa"], "nas.home.arpa", True),
        (["nas.home.arpa"], "home.arpa", False),
        (["nas.home.arpa"], "xnas.home.arpa", False),
        (["nas.home.arpa"], "bank.example.com", False),
        (["nas.home.arpa"], "192.168.1.7", False),
        (["nas.home.arpa"], "fd00::7", False),
        (["192.168.1.7"], "192.168.1.7", True),
        (["192.168.1.7"], "192.168.1.8", False),
        (["192.168.1.7"], "fd00::7", False),
        (["192.168.1.7"], "bank.example.com", False),
        (["fd00::7"], "192.168.1.7", False),
        (["fd00::7"], "fd00::8", False),
        (["nas.home.arpa", "192.168.1.7"], "192.168.1.7", True),
        (["nas.home.arpa", "192.168.1.7"], "192.168.1.8", False),
        (["nas.home.arpa", "192.168.1.7"], "bank.example.com", False),
        (["*.home.arpa"], "nas.home.arpa", True),
        (["*.home.arpa"], "home.example", False),
    ],
)
async def test_intermediate_is_good_for_its_names_only(
    tmp_path: Path, permitted: list[str], name: str, *, allowed: bool
) -> None:
    """
    A leaf that the intermediate's key signed for a name outside its constraints is believed by nobody.
    """
    ca = authority(tmp_path)
    root = await ca._root()
    key = ec.generate_private_key(ec.SECP256R1())
    until = START + dt.timedelta(days=89)
    intermediate = local._sign_intermediate(root, key, [Name(each) for each in permitted], START, until).certificate
    leaf = rogue(intermediate, key, name)
    pem = await ca.root_pem()
    assert believed(pem, leaf, intermediate, name) is allowed
    assert openssl_believes(tmp_path, pem, leaf, intermediate, name) is allowed


async def test_intermediate_cannot_make_another(tmp_path: Path) -> None:
    """
    The intermediate may sign leaves only; it is made anew each time and its key is kept nowhere.
    """
    ca = authority(tmp_path)
    _, one = certificates(await issue(ca, "nas.home.arpa"))
    _, two = certificates(await issue(ca, "nas.home.arpa"))
    assert one.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert one.extensions.get_extension_for_class(x509.NameConstraints).critical
    assert one.public_key() != two.public_key()
    assert {each.name for each in (tmp_path / "ca").rglob("*")} == {"root", "root.pem", "privkey.pem"}


async def test_root_exists(tmp_path: Path) -> None:
    """
    Whether there is a root can be asked without making one.
    """
    assert not await authority(tmp_path).exists()
    assert not await authority(tmp_path).exists()
    await authority(tmp_path).root_pem()
    assert await authority(tmp_path).exists()


async def test_root_is_made_once(tmp_path: Path) -> None:
    """
    The root is the same for every certificate, every start and every export.
    """
    first = await authority(tmp_path).root_pem()
    await issue(authority(tmp_path), "nas.home.arpa")
    clock = FakeClock(START + dt.timedelta(days=365 * 10))
    assert await authority(tmp_path, clock).root_pem() == first
    der = await authority(tmp_path).root_der()
    assert x509.load_der_x509_certificate(der) == x509.load_pem_x509_certificate(first.encode())


async def test_root_is_made_once_by_many(tmp_path: Path) -> None:
    """
    Certificates issued at the same time at the very first start share one root.
    """
    ca = authority(tmp_path)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(issue(ca, f"{number}.home.arpa")) for number in range(8)]
    issuers = {certificates(task.result())[1].issuer for task in tasks}
    assert issuers == {x509.load_pem_x509_certificate((await ca.root_pem()).encode()).subject}


async def test_root_looks_as_it_must(tmp_path: Path) -> None:
    """
    The root is unconstrained, lives about twenty years, and tells itself from another gate's root by its name.
    """
    root = x509.load_pem_x509_certificate((await authority(tmp_path / "one").root_pem()).encode())
    other = x509.load_pem_x509_certificate((await authority(tmp_path / "two").root_pem()).encode())
    with pytest.raises(x509.ExtensionNotFound):
        root.extensions.get_extension_for_class(x509.NameConstraints)
    assert isinstance(root.public_key(), ec.EllipticCurvePublicKey)
    assert dt.timedelta(days=19 * 365) < root.not_valid_after_utc - START < dt.timedelta(days=21 * 365)
    assert root.subject != other.subject


def test_root_files_are_the_owners(tmp_path: Path) -> None:
    """
    The root's files are the owner's alone, whatever the umask.
    """
    before = os.umask(0)
    try:
        asyncio.run(authority(tmp_path).root_pem())
    finally:
        os.umask(before)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "ca").rglob("*")}
    assert modes == {"root": 0o700, "root.pem": 0o600, "privkey.pem": 0o600}


@pytest.mark.parametrize("file", ["root.pem", "privkey.pem"])
@pytest.mark.parametrize("text", [None, "", "rubbish"])
def test_damaged_root_is_never_replaced(tmp_path: Path, file: str, text: str | None) -> None:
    """
    A root whose files are damaged is refused by name, with what to do, and nothing is written.
    """
    asyncio.run(authority(tmp_path).root_pem())
    path = tmp_path / "ca" / "root" / file
    path.unlink()
    if text is not None:
        path.write_text(text)
    before = {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")}
    for work in (authority(tmp_path).root_pem(), issue(authority(tmp_path), "nas.home.arpa")):
        with pytest.raises(StateError, match=rf"root/{file}: .*restore .* from a backup; or move it away"):
            asyncio.run(work)
    assert {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")} == before


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_root_with_a_wrong_byte_is_used_or_refused(tmp_path: Path) -> None:
    """
    Whatever byte of its certificate a disk got wrong: it is refused by name, or what was wrong is not needed.
    """
    asyncio.run(authority(tmp_path).root_pem())
    path = tmp_path / "ca" / "root" / "root.pem"
    sound = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(serialization.Encoding.DER)

    async def refused() -> str | None:
        try:
            await authority(tmp_path).root_pem()
            await issue(authority(tmp_path), "nas.home.arpa")
        except (StateError, IssuanceError) as error:
            return str(error)
        return None

    said = set()
    for at, wrong in itertools.product(range(len(sound)), (0x01, 0xFF)):
        der = sound[:at] + bytes([sound[at] ^ wrong]) + sound[at + 1 :]
        text = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
        path.write_text(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        said.add(asyncio.run(refused()))
        find_other_name(CaSubject(organization="Home"), path)
    # By what it says now, it may have expired.
    assert all(
        each.startswith((f"{path}: ", f"internal: the local CA's root in {path.parents[1]} ends"))
        for each in said
        if each
    )
    assert None in said


def test_key_of_another_root(tmp_path: Path) -> None:
    """
    A root with another root's key is refused: nobody would believe what it signs. The message quotes no key.
    """
    asyncio.run(authority(tmp_path).root_pem())
    asyncio.run(authority(tmp_path / "other").root_pem())
    key = tmp_path / "ca" / "root" / "privkey.pem"
    shutil.copy(tmp_path / "other" / "ca" / "root" / "privkey.pem", key)
    with pytest.raises(StateError, match="not the key") as raised:
        asyncio.run(authority(tmp_path).root_pem())
    assert key.read_text().splitlines()[1] not in str(raised.value)


def test_root_moved_away(tmp_path: Path) -> None:
    """
    After a person moved the root away, a new one is made.
    """
    first = asyncio.run(authority(tmp_path).root_pem())
    (tmp_path / "ca" / "root").rename(tmp_path / "old")
    assert asyncio.run(authority(tmp_path).root_pem()) != first


def test_crash_while_the_root_was_made(tmp_path: Path) -> None:
    """
    A root that was not finished is made again: nobody can have imported it.
    """
    (tmp_path / "ca" / ".root").mkdir(parents=True)
    (tmp_path / "ca" / ".root" / "root.pem").write_text("half")
    assert "BEGIN CERTIFICATE" in asyncio.run(authority(tmp_path).root_pem())
    assert [each.name for each in (tmp_path / "ca").iterdir()] == ["root"]


def test_root_that_cannot_be_written(tmp_path: Path) -> None:
    """
    A place where no root can be kept is named before anything is signed.
    """
    (tmp_path / "ca").write_text("in the way")
    with pytest.raises(StateError, match="move"):
        asyncio.run(issue(authority(tmp_path), "nas.home.arpa"))


@pytest.mark.parametrize("years", [0, 1, 19.9, 19.98])
async def test_nobody_outlives_his_signer(tmp_path: Path, years: float) -> None:
    """
    A leaf lives ninety days and ends with its intermediate, which ends no later than the root.
    """
    root = x509.load_pem_x509_certificate((await authority(tmp_path).root_pem()).encode())
    clock = FakeClock(START + dt.timedelta(days=365 * years))
    leaf, intermediate = certificates(await issue(authority(tmp_path, clock), "nas.home.arpa"))
    assert leaf.not_valid_after_utc == min(clock.now() + dt.timedelta(days=89), root.not_valid_after_utc)
    assert leaf.not_valid_after_utc <= intermediate.not_valid_after_utc <= root.not_valid_after_utc
    assert root.not_valid_before_utc <= intermediate.not_valid_before_utc <= leaf.not_valid_before_utc
    assert leaf.not_valid_before_utc < clock.now() - dt.timedelta(hours=1), "visitors' clocks may be behind"


async def test_root_at_its_end(tmp_path: Path) -> None:
    """
    A root that ends signs no more, and the message says how to get a new one.
    """
    await authority(tmp_path).root_pem()
    late = FakeClock(START + dt.timedelta(days=365 * 20))
    with pytest.raises(IssuanceError, match=r"ends on 20\d\d-.*move it away: a new root is made"):
        await issue(authority(tmp_path, late), "nas.home.arpa")


async def test_root_made_in_1970(tmp_path: Path) -> None:
    """
    A root made by a machine without a clock is good once its clock is set, and in the meantime.
    """
    early = FakeClock(dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    leaf, _ = certificates(await issue(authority(tmp_path, early), "nas.home.arpa"))
    assert leaf.not_valid_after_utc > early.now()
    ca = authority(tmp_path)
    leaf, intermediate = certificates(await issue(ca, "nas.home.arpa"))
    assert believed(await ca.root_pem(), leaf, intermediate, "nas.home.arpa")


async def test_clock_that_fell_back(tmp_path: Path) -> None:
    """
    A clock from before the root's time is wrong; what is issued is good once it is set again.
    """
    await authority(tmp_path).root_pem()
    early = FakeClock(dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    ca = authority(tmp_path, early)
    leaf, intermediate = certificates(await issue(ca, "nas.home.arpa"))
    assert believed(await ca.root_pem(), leaf, intermediate, "nas.home.arpa")


async def test_name_that_no_certificate_can_hold(tmp_path: Path) -> None:
    """
    A name that cannot be written into a certificate is a problem of that name, said in our words.
    """
    with pytest.raises(IssuanceError, match="cannot write a certificate for"):
        await issue(authority(tmp_path), "ключ.home.arpa")


async def test_other_specs(tmp_path: Path) -> None:
    """
    What cannot be chosen here, as a profile, changes nothing.
    """
    spec = dataclasses.replace(wanted("nas.home.arpa"), profile="shortlived")
    async with authority(tmp_path).issue(spec, progress=lambda _: None) as issued:
        leaf, _ = certificates(issued)
    assert leaf.not_valid_after_utc == START + dt.timedelta(days=89)


HOUSE = CaSubject(
    common_name="家用 CA", organization="condata", organizational_unit="info technology", country="CN", state="Shanghai",
    locality="Shanghai",
)  # fmt: skip


async def test_people_say_what_the_root_is_called(tmp_path: Path) -> None:
    """
    And all that it signs belongs to the same house; visitors believe it as ever.
    """
    ca = authority(tmp_path, subject=HOUSE)
    leaf, intermediate = certificates(await issue(ca, "nas.home.arpa"))
    root = x509.load_pem_x509_certificate((await ca.root_pem()).encode())
    house = "OU=info technology,O=condata,L=Shanghai,ST=Shanghai,C=CN"
    assert root.subject.rfc4514_string() == f"CN=家用 CA,{house}"
    assert root.issuer == intermediate.issuer == root.subject
    assert intermediate.subject.rfc4514_string() == f"CN=Gatelodge local intermediate,{house}"
    assert leaf.subject.rfc4514_string() == f"CN=Gatelodge local certificate,{house}"
    assert believed(await ca.root_pem(), leaf, intermediate, "nas.home.arpa")
    assert openssl_believes(tmp_path, await ca.root_pem(), leaf, intermediate, "nas.home.arpa")
    assert not believed(await ca.root_pem(), leaf, intermediate, "bank.example.com")


async def test_what_is_left_out_is_left_out(tmp_path: Path) -> None:
    """
    But for the common name, by which a person knows a root in a list.
    """
    root = x509.load_pem_x509_certificate(
        (await authority(tmp_path, subject=CaSubject(organization="condata")).root_pem()).encode()
    )
    assert re.fullmatch(r"CN=Gatelodge local CA [0-9a-f]{8},O=condata", root.subject.rfc4514_string())


async def test_names_may_be_as_long_as_check_lets_them_be(tmp_path: Path) -> None:
    """
    The standard counts characters.
    """
    ca = authority(tmp_path, subject=CaSubject(common_name="门" * 21, organization="门" * 64, locality="门" * 128))
    leaf, intermediate = certificates(await issue(ca, "nas.home.arpa"))
    assert openssl_believes(tmp_path, await ca.root_pem(), leaf, intermediate, "nas.home.arpa")


async def test_a_root_keeps_its_name(tmp_path: Path) -> None:
    """
    Devices trust it by its key under that name: what is said later changes nothing, of what it signs neither, and is found.
    """
    first = await authority(tmp_path, subject=HOUSE).root_pem()
    other = dataclasses.replace(HOUSE, organization="another")
    leaf, _ = certificates(await issue(authority(tmp_path, subject=other), "nas.home.arpa"))
    assert "O=condata" in leaf.subject.rfc4514_string()
    assert await authority(tmp_path, subject=other).root_pem() == first
    file = tmp_path / "ca" / "root" / "root.pem"
    assert "O=condata" in str(find_other_name(other, file))
    assert find_other_name(HOUSE, file) is None
    assert find_other_name(CaSubject(), file) is None
    assert find_other_name(HOUSE, tmp_path / "nowhere") is None
    file.write_text("rubbish")
    assert find_other_name(other, file) is None
