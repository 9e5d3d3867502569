"""
Alidns on this machine: verifies signature, nonce, time and token of each request as documented, keeps zones and records, hands
every change on to whoever really publishes it, and can be as unkind as a test wishes.

It is written from the documentation (https://help.aliyun.com/zh/dns/api-alidns-2015-01-09-overview), not from the client, and
checks signatures without the SDK. It is no proof that the real Alidns behaves so.
"""

from __future__ import annotations

import asyncio
import base64
import bisect
import collections
import contextlib
import dataclasses
import datetime as dt
import hashlib
import hmac
import itertools
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web
from tests.support.alidns_faults import FAULTS, Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from tests.support.bind import Bind

    Publish = Callable[["Record", bool], Awaitable[None]]

KEY_ID = "LTAI5tTestOnlyKeyId"
KEY_SECRET = "test-only-secret-of-the-key"
SERVERS = ("ns1.alidns.test", "ns2.alidns.test")
LEAST_TTL = 600

#: Of the service that says whose a key is, which the same endpoint stands in for.
STS_VERSION = "2015-04-01"

#: The most a page, where Alidns has a limit.
MOST_ZONES, MOST_OF_A_NAME, MOST_RECORDS = 100, 100, 500

_MOST_OF_A_KIND = 90
_CLOCK_SECONDS = 900


@dataclasses.dataclass(kw_only=True)
class Record:
    """
    A record as Alidns has it.
    """

    id: str
    zone: str
    rr: str
    type: str
    value: str
    ttl: int = LEAST_TTL
    line: str = "default"
    status: str = "ENABLE"
    locked: bool = False

    @property
    def name(self) -> str:
        """
        The full name.
        """
        return self.zone if self.rr == "@" else f"{self.rr}.{self.zone}"

    def shown(self) -> dict[str, object]:
        return {
            "RecordId": self.id, "DomainName": self.zone, "RR": self.rr, "Type": self.type, "Value": self.value,
            "TTL": self.ttl, "Line": self.line, "Status": self.status, "Locked": self.locked, "Weight": 1,
        }  # fmt: skip


class Alidns:
    """
    The service. Its knobs:

    `faults`: by action, what goes wrong with its next requests: words of `FAULTS`, None for one that goes well.
    `publish`: awaited for every change: the record, and whether it is there from now on.
    `tokens`: the security token that goes with a temporary key. `least_ttl`: of the edition. `forbidden`: actions that RAM refuses.
    `identity`: what STS calls whoever has the keys. `puny`: how a zone in Unicode is written in A-labels. `reached`: set when a request hangs.
    """

    def __init__(self) -> None:
        self.url = ""
        self.keys = {KEY_ID: KEY_SECRET}
        self.tokens: dict[str, str] = {}
        self.zones: dict[str, tuple[str, ...]] = {}
        self.puny: dict[str, str] = {}
        self.records: dict[str, Record] = {}
        self.faults: dict[str, collections.deque[str | None]] = collections.defaultdict(collections.deque)
        self.forbidden: set[str] = set()
        self.identity = "RAMUser"
        self.least_ttl = LEAST_TTL
        self.publish: Publish | None = None
        self.requests: list[str] = []
        self.times: list[float] = []
        self.asked: list[dict[str, str]] = []
        self.reached = asyncio.Event()
        self._nonces: set[str] = set()
        self._ids = itertools.count(900_000_001)

    def zone(self, name: str, *servers: str) -> None:
        """
        Host a zone.
        """
        self.zones[name] = servers or SERVERS

    def put(self, zone: str, rr: str, kind: str, value: str, **more: Any) -> Record:
        """
        Put a record there without anybody's asking for it.
        """
        record = Record(id=str(next(self._ids)), zone=zone, rr=rr, type=kind, value=value, **more)
        self.records[record.id] = record
        return record

    def values(self, name: str, kind: str = "TXT") -> list[str]:
        """
        Return the values of a type under a name, sorted.
        """
        return sorted(each.value for each in self.records.values() if (each.name, each.type) == (name, kind))

    @property
    def counts(self) -> dict[str, int]:
        """
        How many requests of each action came.
        """
        return dict(collections.Counter(self.requests))

    @property
    def highest_rate(self) -> int:
        """
        The most requests within one second.
        """
        return max((bisect.bisect_left(self.times, at + 1) - n for n, at in enumerate(self.times)), default=0)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """
        Answer a request.
        """
        parameters = {**request.query, **{name: str(value) for name, value in (await request.post()).items()}}
        action = str(parameters.get("Action"))
        self.requests.append(action)
        self.times.append(time.monotonic())
        self.asked.append(parameters)
        number = str(uuid.uuid4()).upper()
        queue = self.faults[action]
        fault = FAULTS[word] if queue and (word := queue.popleft()) else None
        headers: dict[str, str] = {}
        try:
            self._verify(request.method, parameters)
            if isinstance(fault, Refusal):
                headers = dict(fault.headers)
                raise fault
            if action in self.forbidden:
                raise _refusal("RAM refuses")
            if fault == "hang up before":
                return _hung_up(request)
            if fault == "hang before":
                await self._hang()
            if fault == "page":
                return web.Response(text="<html>please log in</html>", content_type="text/html")
            answer = await self._ACTIONS[action](self, parameters)
            if fault == "hang up after":
                return _hung_up(request)
            if fault == "hang after":
                await self._hang()
            if fault == "fail after":
                raise _refusal("internal error")
        except Refusal as error:
            body = {
                "RequestId": number, "HostId": "alidns.aliyuncs.com", "Code": error.code, "Message": error.message,
                "Recommend": "https://api.aliyun.com/troubleshoot",
            }  # fmt: skip
            return web.json_response(body, status=error.status, headers=headers)
        return web.json_response({"RequestId": number, **answer})

    async def _hang(self) -> None:
        self.reached.set()
        await asyncio.Event().wait()

    def _verify(self, method: str, parameters: Mapping[str, str]) -> None:
        """
        Check what https://help.aliyun.com/zh/sdk/product-overview/rpc-mechanism wants: signature, nonce and time.
        """
        for name in ("AccessKeyId", "Signature", "SignatureNonce", "Timestamp", "Version", "Action"):
            if not parameters.get(name):
                raise Refusal(f"Missing{name}", f"{name} is mandatory for this action.")
        version = STS_VERSION if parameters["Action"] == "GetCallerIdentity" else "2015-01-09"
        if parameters["Version"] != version or parameters["Action"] not in self._ACTIONS:
            raise Refusal("InvalidAction.NotFound", "Specified api is not found.", 404)
        key = parameters["AccessKeyId"]
        if key not in self.keys:
            raise _refusal("unknown key")
        query = "&".join(
            f"{_escaped(name)}={_escaped(value)}" for name, value in sorted(parameters.items()) if name != "Signature"
        )
        text = f"{method}&%2F&{_escaped(query)}"
        signed = hmac.new(f"{self.keys[key]}&".encode(), text.encode(), hashlib.sha1).digest()
        if not hmac.compare_digest(base64.b64encode(signed).decode(), parameters["Signature"]):
            raise Refusal("SignatureDoesNotMatch", f"{_refusal('wrong signature').message}{text}")
        try:
            at = dt.datetime.strptime(parameters["Timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)
        except ValueError:
            raise _refusal("clock skew") from None
        if abs((dt.datetime.now(dt.UTC) - at).total_seconds()) > _CLOCK_SECONDS:  # noqa: TID251 - a server's own clock
            raise _refusal("clock skew, signed")
        if parameters["SignatureNonce"] in self._nonces:
            raise _refusal("nonce used")
        self._nonces.add(parameters["SignatureNonce"])
        if self.tokens.get(key) != parameters.get("SecurityToken"):
            raise _refusal("expired STS")

    async def _identity(self, given: Mapping[str, str]) -> dict[str, Any]:
        # https://help.aliyun.com/zh/ram/developer-reference/api-sts-2015-04-01-getcalleridentity
        del given
        return {"IdentityType": self.identity, "AccountId": "196813200012", "PrincipalId": "28877424437521"}

    async def _domains(self, given: Mapping[str, str]) -> dict[str, Any]:
        rows = [self._shown(zone) for zone in self.zones]
        return _page(rows, given, "Domains", "Domain", most=MOST_ZONES)

    async def _domain(self, given: Mapping[str, str]) -> dict[str, Any]:
        return self._shown(self._zone(given))

    async def _of_a_name(self, given: Mapping[str, str]) -> dict[str, Any]:
        zone, name = self._zone(given), given["SubDomain"]
        if name != zone and not name.endswith(f".{zone}"):
            raise Refusal("InvalidDomainName.Format", "The format of SubDomain is invalid.")
        rows = [
            each.shown()
            for each in self.records.values()
            if (each.zone, each.name) == (zone, name) and given.get("Type", each.type) == each.type
        ]
        return _page(rows, given, "DomainRecords", "Record", most=MOST_OF_A_NAME)

    async def _of_a_zone(self, given: Mapping[str, str]) -> dict[str, Any]:
        zone = self._zone(given)
        rows = [
            each.shown()
            for each in self.records.values()
            if each.zone == zone
            and given.get("RRKeyWord", "") in each.rr
            and given.get("TypeKeyWord", each.type) == each.type
        ]
        return _page(rows, given, "DomainRecords", "Record", most=MOST_RECORDS)

    async def _called(self, given: Mapping[str, str]) -> dict[str, Any]:
        return self._record(given).shown()

    async def _added(self, given: Mapping[str, str]) -> dict[str, Any]:
        new = Record(
            id="", zone=self._zone(given), rr=given["RR"], type=given["Type"], value=given["Value"],
            ttl=self._ttl(given), line=given.get("Line", "default"),
        )  # fmt: skip
        self._fits(new)
        new.id = str(next(self._ids))
        self.records[new.id] = new
        await self._tell(new, present=True)
        return {"RecordId": new.id}

    async def _updated(self, given: Mapping[str, str]) -> dict[str, Any]:
        old = self._record(given)
        new = dataclasses.replace(
            old, rr=given["RR"], type=given["Type"], value=given["Value"], ttl=self._ttl(given),
            line=given.get("Line", "default"),
        )  # fmt: skip
        if old.locked:
            raise _refusal("record locked")
        if new == old:
            raise _refusal("duplicate")
        self._fits(new)
        await self._tell(old, present=False)
        self.records[old.id] = new
        await self._tell(new, present=True)
        return {"RecordId": old.id}

    async def _deleted(self, given: Mapping[str, str]) -> dict[str, Any]:
        record = self._record(given)
        if record.locked:
            raise _refusal("record locked")
        del self.records[record.id]
        await self._tell(record, present=False)
        return {"RecordId": record.id}

    def _fits(self, new: Record) -> None:
        beside = [
            each
            for each in self.records.values()
            if (each.name, each.zone, each.line) == (new.name, new.zone, new.line) and each.id != new.id
        ]
        if any((each.type, each.value) == (new.type, new.value) for each in beside):
            raise _refusal("duplicate")
        if any("CNAME" in {each.type, new.type} for each in beside):
            raise _refusal("CNAME in the way")
        if sum(each.type == new.type for each in beside) >= _MOST_OF_A_KIND:
            raise _refusal("quota")

    def _ttl(self, given: Mapping[str, str]) -> int:
        ttl = int(given.get("TTL", LEAST_TTL))
        if not self.least_ttl <= ttl <= 86400:
            raise Refusal(
                "QuotaExceeded.TTL",
                f"The specified TTL is invalid. A valid TTL must be in the range of {self.least_ttl} to 86400.",
            )
        return ttl

    def _shown(self, zone: str) -> dict[str, Any]:
        servers = list(self.zones[zone])
        return {
            "DomainName": zone, "PunyCode": self.puny.get(zone, ""), "AliDomain": False,
            "DnsServers": {"DnsServer": servers},
        }  # fmt: skip

    def _zone(self, given: Mapping[str, str]) -> str:
        zone = given.get("DomainName", "")
        if zone not in self.zones:
            raise _refusal("zone gone")
        return zone

    def _record(self, given: Mapping[str, str]) -> Record:
        if given.get("RecordId") not in self.records:
            raise _refusal("record gone")
        return self.records[given["RecordId"]]

    async def _tell(self, record: Record, *, present: bool) -> None:
        if self.publish is not None and record.status == "ENABLE":
            await self.publish(record, present)

    _ACTIONS: Mapping[str, Callable[[Alidns, Mapping[str, str]], Awaitable[dict[str, Any]]]] = {
        "GetCallerIdentity": _identity,
        "DescribeDomains": _domains,
        "DescribeDomainInfo": _domain,
        "DescribeSubDomainRecords": _of_a_name,
        "DescribeDomainRecords": _of_a_zone,
        "DescribeDomainRecordInfo": _called,
        "AddDomainRecord": _added,
        "UpdateDomainRecord": _updated,
        "DeleteDomainRecord": _deleted,
    }


def into(bind: Bind) -> Publish:
    """
    Publish every change in a BIND.
    """

    async def publish(record: Record, present: bool) -> None:  # noqa: FBT001
        text = f'"{record.value}"' if record.type == "TXT" else record.value
        if present:
            await bind.update(record.zone, ("add", f"{record.name}.", str(record.ttl), record.type, text))
        else:
            await bind.update(record.zone, ("delete", f"{record.name}.", record.type, text))

    return publish


@contextlib.asynccontextmanager
async def running(*zones: str, port: int = 0) -> AsyncIterator[Alidns]:
    """
    Serve Alidns inside the context, on a port of the loopback address; `url` says where.
    """
    service = Alidns()
    for zone in zones:
        service.zone(zone)
    app = web.Application()
    app.router.add_route("*", "/", service.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield service
    finally:
        await runner.cleanup()


def _refusal(fault: str) -> Refusal:
    found = FAULTS[fault]
    assert isinstance(found, Refusal)
    return found


def _escaped(text: str) -> str:
    return quote(text, safe="-_.~")


def _page(rows: list[Any], given: Mapping[str, str], outer: str, inner: str, *, most: int) -> dict[str, Any]:
    size, number = int(given.get("PageSize", 20)), int(given.get("PageNumber", 1))
    if not 1 <= size <= most or number < 1:
        raise Refusal("InvalidParameter", f"The specified PageSize or PageNumber is invalid, {most} is the most.")
    first = (number - 1) * size
    return {
        "TotalCount": len(rows), "PageNumber": number, "PageSize": size, outer: {inner: rows[first : first + size]},
    }  # fmt: skip


def _hung_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _serve(port: int, zones: list[str]) -> None:
    async with running(*zones, port=port) as service:
        print(service.url, flush=True)  # noqa: T201 - whoever started it reads where it is
        await asyncio.Event().wait()


if __name__ == "__main__":
    import sys

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1]), sys.argv[2:]))
