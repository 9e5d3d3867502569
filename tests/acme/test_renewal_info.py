"""
What a CA says of a certificate's renewal.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gatelodge.acme import renewal_info
from gatelodge.errors import IssuanceError
from gatelodge.issuers import selfsigned
from gatelodge.model import Name, RenewalWindow
from gatelodge.ports import HttpResponse

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
URL = "https://ca.test/renewal-info/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
AKI = bytes.fromhex("69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
WINDOW = {"start": "2026-04-01T00:00:00Z", "end": "2026-04-03T00:00:00Z"}


def certificate(serial: int, aki: x509.AuthorityKeyIdentifier | None) -> str:
    """
    Make a certificate with a serial number and the identifier of its issuer's key.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Example CA")]))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW)
        .not_valid_after(NOW + dt.timedelta(days=90))
    )
    if aki is not None:
        builder = builder.add_extension(aki, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def read(document: object, **headers: str) -> Any:
    """
    Read an answer.
    """
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = {name.replace("_", "-"): (value,) for name, value in headers.items()}
    response = HttpResponse(status=200, headers=found, body=body)
    return renewal_info.read(response, url=URL, certificate="aki.serial", now=NOW)


@pytest.mark.parametrize(
    ("serial", "end"),
    [(0x87654321, "AIdlQyE"), (0x7F, "fw"), (0x80, "AIA"), (1, "AQ"), (2**159 - 1, "f" + "_" * 25 + "8")],
)
def test_a_certificate_is_known_by_its_issuers_key_and_its_number(serial: int, end: str) -> None:
    """
    RFC 9773 §4.1, the first its own example: the number as in DER, where a first bit that is set needs a zero byte before it.
    """
    aki = x509.AuthorityKeyIdentifier(AKI, None, None)
    assert renewal_info.certificate_id(certificate(serial, aki)) == f"aYhba4dGQEHhs3uEe6CuLN4ByNQ.{end}"


@pytest.mark.parametrize(
    "chain",
    [
        certificate(7, None),
        certificate(7, x509.AuthorityKeyIdentifier(None, [x509.DNSName("ca.test")], 7)),
        selfsigned.make([Name("a.example")]).chain,
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_has_no_identifier_is_not_asked_about(chain: str) -> None:
    """
    Certificates that name no key of their issuer, and what is no certificate.
    """
    assert renewal_info.certificate_id(chain) is None


def test_an_answer_is_read() -> None:
    """
    The window, a page for people, and when to ask again.
    """
    found = read({"suggestedWindow": WINDOW, "explanationURL": "https://ca.test/why", "more": 1}, retry_after="21600")
    assert found.window == RenewalWindow(
        start=dt.datetime(2026, 4, 1, tzinfo=dt.UTC), end=dt.datetime(2026, 4, 3, tzinfo=dt.UTC)
    )
    assert (found.certificate, found.explanation) == ("aki.serial", "https://ca.test/why")
    assert found.retry_after == dt.timedelta(hours=6)


@pytest.mark.parametrize(
    "window",
    [
        {"start": WINDOW["end"], "end": WINDOW["start"]},
        {"start": WINDOW["end"], "end": WINDOW["end"]},
        {"start": WINDOW["start"]},
        {"start": "soon", "end": WINDOW["end"]},
        {"start": 1, "end": 2},
        None,
        [],
    ],
)
def test_a_window_that_makes_no_sense_is_none(window: object) -> None:
    """
    RFC 9773 §4.2: one that ends before it starts is to be taken as no answer. When to ask again still counts.
    """
    found = read({"suggestedWindow": window}, retry_after="60")
    assert (found.window, found.retry_after) == (None, dt.timedelta(minutes=1))


@pytest.mark.parametrize("page", [None, 7, "javascript:alert(1)", "", "ca.test/why"])
def test_a_page_that_is_none_is_left_out(page: object) -> None:
    """
    It is shown to people, who may follow it.
    """
    assert read({"suggestedWindow": WINDOW, "explanationURL": page}).explanation is None


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"[" * 100_000])
def test_what_is_no_answer_is_a_bad_one(body: bytes) -> None:
    """
    As everywhere.
    """
    with pytest.raises(IssuanceError) as caught:
        read(body)
    assert caught.value.problem.type == "badAnswer"
