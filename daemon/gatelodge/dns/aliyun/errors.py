"""
Says what each error of Alidns means: one table, from its code to what helps.

Nearly all come with HTTP 400, so the code alone decides. Codes: https://help.aliyun.com/document_detail/2355841.html (Alidns) and
https://help.aliyun.com/document_detail/51132.html (all products). A code that ends in `*` here is a beginning; the longest counts.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from gatelodge.errors import DnsError, Problem

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping


class Meaning(enum.Enum):
    """
    What can be done about an error.
    """

    AGAIN = enum.auto()
    CLOCK = enum.auto()
    KEY = enum.auto()
    TOKEN = enum.auto()
    PERMISSION = enum.auto()
    ZONE = enum.auto()
    RECORD = enum.auto()
    TTL = enum.auto()
    THERE = enum.auto()
    GONE = enum.auto()
    UNKNOWN = enum.auto()


#: Under which type a problem is told. What is there already, or gone, is no problem where that was asked for.
_TYPES: Mapping[Meaning, str] = {
    Meaning.AGAIN: "dnsProvider",
    Meaning.CLOCK: "dnsProvider",
    Meaning.KEY: "dnsCredentials",
    Meaning.TOKEN: "dnsCredentials",
    Meaning.PERMISSION: "dnsCredentials",
    Meaning.ZONE: "dnsZone",
    Meaning.RECORD: "dnsRecord",
    Meaning.TTL: "dnsRecord",
    Meaning.THERE: "dnsRecord",
    Meaning.GONE: "dnsRecord",
    Meaning.UNKNOWN: "dnsProvider",
}

_AGAIN = (Meaning.AGAIN, "it will be tried again")
_NO_KEY = (
    Meaning.KEY,
    "does the AccessKey ID stand in the RAM console, switched on, and unbroken in the configuration?",
)
_NO_SECRET = (Meaning.KEY, "the AccessKey secret is not the one of this AccessKey ID: give both of one pair, unbroken")
_TOKEN = (Meaning.TOKEN, "give a new temporary key with its token; or use `ram_role`, or a RAM user's own key")
_CLOCK = (Meaning.CLOCK, "set this machine's clock (NTP): Alidns takes a request for 15 minutes around its own time")
_RAM = (Meaning.PERMISSION, "allow the RAM user or role alidns:{action} for this domain: docs/aliyun.md has the policy")
_ACCOUNT = (Meaning.KEY, "Aliyun has stopped this account or key: look at its console")
_NO_ZONE = (Meaning.ZONE, "add the domain in the Alidns console of the account that this key is of")
_OTHERS = (
    Meaning.ZONE,
    "the domain belongs to another account, or is not in this one: use the key of the one that has it",
)
_CLOSED = (Meaning.ZONE, "the domain is expired, locked or suspended: look at it in the Alidns console")
_LOCKED = (Meaning.RECORD, "unlock the record in the Alidns console")
_BLOCKED = (Meaning.RECORD, "Aliyun has put a record of this name into its black hole (DDoS): ask its support")
_FULL = (Meaning.RECORD, "delete old records of this name; Alidns takes 90 of one type and line")
_CONFLICT = (Meaning.RECORD, "delete the record that stands there, such as a CNAME, or follow it with `alias`")
_LINE = (Meaning.RECORD, "leave `line` out: this edition of Alidns does not have it for this domain")
_TTL = (Meaning.TTL, "leave `ttl` out: the free editions take 600 s to 86400 s")
_MALFORMED = (Meaning.RECORD, "look at `line` and `ttl`; otherwise it is a fault of Gatelodge: please report it")
_UNKNOWN = (Meaning.UNKNOWN, "Gatelodge does not know this code; Aliyun's support finds the request by its number")

TABLE: Mapping[str, tuple[Meaning, str]] = {
    "Throttling*": _AGAIN,
    "ServiceUnavailable*": _AGAIN,
    "InternalError*": _AGAIN,
    "UnKnownError": _AGAIN,
    "UnknownError": _AGAIN,
    "SignatureNonceUsed": _AGAIN,
    "LastOperationNotFinished": _AGAIN,
    "DomainRecordDuplicate": (Meaning.THERE, "it was there already"),
    "DomainRecordNotBelongToUser": (Meaning.GONE, "it is gone"),
    "InvalidRecordId.NotFound": (Meaning.GONE, "it is gone"),
    "InvalidRR.NoExist": (Meaning.GONE, "it is gone"),
    "InvalidAccessKeyId*": _NO_KEY,
    "Forbidden.AccessKeyDisabled": _NO_KEY,
    "InvalidAccessKeySecret": _NO_SECRET,
    "SignatureDoesNotMatch": _NO_SECRET,
    "IncompleteSignature": _NO_SECRET,
    "MissingSecurityToken": _TOKEN,
    "InvalidSecurityToken*": _TOKEN,
    "IllegalTimestamp": _CLOCK,
    "InvalidTimeStamp*": _CLOCK,
    "Forbidden": _RAM,
    "Forbidden.RAM": _RAM,
    "NoPermission": _RAM,
    "OperationDomain.NoPermission": _RAM,
    "Forbidden.RiskControl": _ACCOUNT,
    "IllegalUser": _ACCOUNT,
    "InvalidDomainName.NoExist": _NO_ZONE,
    "DomainNotFound": _NO_ZONE,
    "InvalidDomainName*": _NO_ZONE,
    "IncorrectDomainUser": _OTHERS,
    "DomainAddedByOthers": _OTHERS,
    "DomainForbidden": _CLOSED,
    "DomainExpiredDNSForbidden": _CLOSED,
    "Forbidden.DomainExpired": _CLOSED,
    "Forbidden.DomainLocked": _CLOSED,
    "Forbidden.RecordLocked": _LOCKED,
    "DomainRecordLocked": _LOCKED,
    "RecordForbidden*": _BLOCKED,
    "RecordFobidden*": _BLOCKED,  # as Aliyun spells it in places
    "DomainRecordConflict": _CONFLICT,
    "QuotaExceeded*": _FULL,
    "QuotaExceeded.TTL": _TTL,
    "SubDomainInvalid.TTL": _TTL,
    "SubDomainInvalid.Line": _LINE,
    "UnsupportedLine": _LINE,
    "SubDomainInvalid*": _MALFORMED,
    "InvalidRR*": _MALFORMED,
    "MissingParameter*": _MALFORMED,
    "InvalidParameter*": _MALFORMED,
    "Forbidden.*": _RAM,
}

_SERVER_ERROR = 500

#: After these the request may have been carried out. They come with status 400.
_UNSURE = frozenset({"InternalError", "UnKnownError", "UnknownError"})


class Refusal(Exception):
    """
    What Alidns said in place of an answer. It never holds the request, whose URL has the key's name and a signature.
    """

    def __init__(
        self,
        action: str,
        code: str,
        message: str,
        *,
        status: int,
        request_id: str | None = None,
        retry_after: dt.timedelta | None = None,
    ) -> None:
        super().__init__(action, code, message)
        self.action = action
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.meaning, self._remedy = _row(code, status)

    @property
    def unsure(self) -> bool:
        """
        Whether it may have been carried out all the same.
        """
        return self.status >= _SERVER_ERROR or self.code in _UNSURE

    def about(self, what: str) -> DnsError:
        """
        Tell a person what happened to which name, and what to do.
        """
        number = f", request {self.request_id}" if self.request_id else ""
        return DnsError(
            Problem(
                type=_TYPES[self.meaning],
                detail=f"{what}: Alidns refused {self.action} with {self.code}: {self.message.rstrip('. ')} "
                f"(status {self.status}{number}); {self._remedy.format(action=self.action)}",
                retry_after=self.retry_after,
            )
        )


def _row(code: str, status: int) -> tuple[Meaning, str]:
    if code in TABLE:
        return TABLE[code]
    beginnings = [row for row in TABLE if row.endswith("*") and code.startswith(row[:-1])]
    if beginnings:
        return TABLE[max(beginnings, key=len)]
    return _AGAIN if status >= _SERVER_ERROR else _UNKNOWN
