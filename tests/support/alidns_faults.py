"""
What can go wrong at the local Alidns, by a word for each. Codes and texts as documented, or as people have reported them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Refusal(Exception):
    """
    An error on its way out.
    """

    def __init__(self, code: str, message: str, status: int = 400, **headers: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


#: Errors, and what is done to the connection before or after the request was carried out.
FAULTS: Mapping[str, Refusal | str] = {
    "throttled": Refusal("Throttling.User", "Request was denied due to user flow control."),
    "throttled, come in 2 s": Refusal("Throttling.User", "Request was denied due to flow control.", retry_after="2"),
    "throttled, come in 90 s": Refusal("Throttling", "Request was denied due to request throttling.", retry_after="90"),
    "500": Refusal("InternalError", "The request processing has failed due to some unknown error.", 500),
    "503": Refusal("ServiceUnavailable", "The request has failed due to a temporary failure of the server.", 503),
    "internal error": Refusal("InternalError", "The request processing has failed due to some unknown error."),
    "internal error after the write": "fail after",
    "dropped before the write": "hang up before",
    "dropped after the write": "hang up after",
    "hangs before the write": "hang before",
    "hangs after the write": "hang after",
    "a portal's page": "page",
    "nonce used": Refusal("SignatureNonceUsed", "Specified signature nonce was used already."),
    "unknown key": Refusal("InvalidAccessKeyId.NotFound", "Specified access key is not found.", 404),
    "key switched off": Refusal("InvalidAccessKeyId.Inactive", "Specified access key is disabled."),
    "wrong signature": Refusal(
        "SignatureDoesNotMatch",
        "Specified signature is not matched with our calculation. server string to sign is:",
    ),
    "clock skew": Refusal("IllegalTimestamp", "The input parameter Timestamp that is mandatory is not supplied."),
    "clock skew, signed": Refusal("InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."),
    "expired STS": Refusal("InvalidSecurityToken.Expired", "Specified SecurityToken is expired."),
    "RAM refuses": Refusal("Forbidden.RAM", "User not authorized to operate on the specified resource.", 403),
    "risk control": Refusal("Forbidden.RiskControl", "This operation is forbidden by Aliyun RiskControl system.", 403),
    "zone gone": Refusal("InvalidDomainName.NoExist", "The specified domain name does not exist."),
    "zone of another user": Refusal("IncorrectDomainUser", "The domain name does not belong to this user."),
    "zone expired": Refusal("Forbidden.DomainExpired", "The domain name is expired."),
    "zone forbidden": Refusal("DomainForbidden", "The action could not be completed because the domain is forbidden."),
    "record locked": Refusal("DomainRecordLocked", "The domain record has been locked."),
    "record gone": Refusal("DomainRecordNotBelongToUser", "The domain record does not belong to this user."),
    "duplicate": Refusal("DomainRecordDuplicate", "The domain record is duplicated."),
    "CNAME in the way": Refusal("DomainRecordConflict", "The domain record is conflict with other records."),
    "quota": Refusal("QuotaExceeded.Record", 'The {"Type RR Line"} record has been out of MAX count (90).'),
    "black hole": Refusal("RecordForbidden.BlackHole", "Some records have been into black hole."),
    "something new": Refusal("Surprise.Entirely", "Nobody has seen this before."),
}
