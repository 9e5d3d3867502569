"""
What a CA says about when a certificate should be replaced (RFC 9773 §4). Pure.

When it is replaced is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from josepy.b64 import b64encode

from gatelodge.acme import fields, retry_after
from gatelodge.model import RenewalInfo, RenewalWindow

if TYPE_CHECKING:
    import datetime as dt

    from gatelodge.ports import HttpResponse

#: What the library raises for a certificate that is none, and for extensions that are none.
_UNREADABLE = (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.ExtensionNotFound)


def certificate_id(chain: str) -> str | None:
    """
    Return the identifier of a chain's first certificate (§4.1): which key signed it, and its serial number. None when it does not
    say, as a self-signed one.
    """
    try:
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except _UNREADABLE:
        return None
    if issuer is None:
        return None
    # As in DER: a first bit that is set would be a sign, so a zero byte goes before it.
    serial = leaf.serial_number.to_bytes(leaf.serial_number.bit_length() // 8 + 1, "big")
    return f"{b64encode(issuer).decode()}.{b64encode(serial).decode()}"


def read(response: HttpResponse, *, url: str, certificate: str, now: dt.datetime) -> RenewalInfo:
    """
    Read an answer (§4.2). A window that ends before it starts, or cannot be read, is none.

    Raises:
        IssuanceError: `badAnswer`: it is nothing of the kind.
    """
    found = fields.whole(response, url)
    window = fields.part(found.get("suggestedWindow"))
    start, end = fields.time(window.get("start")), fields.time(window.get("end"))
    return RenewalInfo(
        certificate=certificate,
        window=RenewalWindow(start=start, end=end) if start is not None and end is not None and start < end else None,
        explanation=_page(found),
        retry_after=retry_after.of_answer(response, now=now),
    )


def _page(found: dict[str, object]) -> str | None:
    shown = fields.text_or_none(found, "explanationURL")
    return shown if shown is not None and shown.startswith(("https://", "http://")) else None
