"""
The admin service over TCP: who comes in, and what whoever wants to break in finds. Real connections, with the loop of a simulated world
behind them.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.admin import TOKEN, Said, gatehouse, settings
from tests.support.waiting import until

from gatelodge.api import client, connections, routes
from gatelodge.model import AdminSettings, Listener, SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator

A = "a.example.com"


@pytest.fixture
def folder() -> Iterator[Path]:
    """
    A folder with a path short enough for a socket (108 bytes, unix(7)).
    """
    with tempfile.TemporaryDirectory(prefix="gl-") as name:
        yield Path(name)


def is_harmless(said: Said) -> bool:
    """
    Tell whether an answer gives nothing away: no traceback, no path of ours, no secret, and no page may read it.
    """
    text = said.raw.decode(errors="replace")
    return (
        said.status != 500
        and not any(word in text for word in ("Traceback", "site-packages", ".py", TOKEN))
        and not any(name.startswith("access-control-") for name in said.headers)
    )


async def test_whoever_sends_the_token_is_answered(folder: Path) -> None:
    """
    As on the socket; and told not to keep it.
    """
    async with gatehouse(folder) as house:
        said = await house.ask("GET", "/v1/status")

        assert said.status == 200
        assert said.json()["nginx"]["proven"] is True
        assert said.headers["cache-control"] == "no-store"
        assert is_harmless(said)
        assert house.events.of("admin.listening") == [{"level": "info", "address": f"127.0.0.1:{house.port}"}]


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"Authorization": "Bearer wrong-wrong-wrong-wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN}", "authorization": f"Bearer {TOKEN}"},
        {"Authorization": "Bearer \u00ff\u00fe"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/status", "/metrics", "/readyz", "/v1/nothing", "/v1/renew"])
async def test_whoever_does_not_is_not(folder: Path, sent: dict[str, str], path: str) -> None:
    """
    Nothing is told, not even what there is to ask.
    """
    async with gatehouse(folder) as house:
        said = await house.ask("GET", path, token=None, headers=sent)

        assert said.status == 401
        assert said.headers["www-authenticate"] == "Bearer"
        assert said.json().keys() == {"error"}
        assert is_harmless(said)


async def test_a_token_in_the_url_opens_nothing(folder: Path) -> None:
    """
    URLs end up in logs.
    """
    async with gatehouse(folder) as house:
        assert (await house.ask("GET", f"/v1/status?token={TOKEN}", token=None)).status == 401


async def test_that_it_lives_is_told_to_anybody(folder: Path) -> None:
    """
    And nothing else with it.
    """
    async with gatehouse(folder) as house:
        said = await house.ask("GET", "/healthz", token=None)

        assert (said.status, said.json()) == (200, {"ok": True})


@pytest.mark.parametrize("path", ["/healthz", "/v1/status"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"https://{A}"}, 403),
        ({"Host": "rebound.evil.example:9180"}, 403),
        ({"Host": "127.0.0.1@evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost:9180"}, 200),
        ({"Host": "[::1]:9180"}, 200),
        ({"Host": "gatelodge:9180"}, 200),
        ({"Host": "gate.lan"}, 200),
        ({"Host": A}, 200),
    ],
)
async def test_pages_of_browsers_are_kept_out(folder: Path, path: str, sent: dict[str, str], status: int) -> None:
    """
    Whatever they send besides; and whatever name they were loaded from: one that everybody on the internet may give out leads nowhere,
    unless it is a site of this gate.
    """
    async with gatehouse(folder, A) as house:
        said = await house.ask("GET", path, headers=sent)

        assert said.status == status
        assert is_harmless(said)


async def test_no_host_at_all(folder: Path) -> None:
    """
    Is no request of HTTP/1.1, and in one of HTTP/1.0 none that is answered.
    """
    async with gatehouse(folder) as house:
        newer = await house.send(b"GET /healthz HTTP/1.1\r\n\r\n")
        older = await house.send(b"GET /healthz HTTP/1.0\r\n\r\n")

        assert newer.status in {400, 403}
        assert older.status in {400, 403}
        assert is_harmless(newer)


async def test_a_browsers_question_before_its_question(folder: Path) -> None:
    """
    A preflight gets no permission.
    """
    async with gatehouse(folder) as house:
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        said = await house.ask("OPTIONS", "/v1/reload", headers=asked)

        assert said.status == 403
        assert is_harmless(said)


#: What no program of good will sends, and what it gets at most; nothing where it is cut off.
HOSTILE: dict[str, tuple[bytes, set[int]]] = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, {400}),
    "a control character": (b"GET /v1/\x00status HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "a header without a colon": (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n", {400}),
    "two lengths": (
        b"POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", {400},
    ),
    "a length and chunks": (
        b"POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", {400},
    ),
    "a length below zero": (b"POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", {400}),
    "a long line": (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 0}),
    "a long header": (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", {400, 0}),
    "many headers": (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-Y: z\r\n" * 30_000 + b"\r\n", {400, 0}),
    "headers without end": (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-Y: zzzzzzzz\r\n" * 40_000, {400, 0}),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(HOSTILE))
async def test_what_is_no_request_ends_a_connection(folder: Path, what: str) -> None:
    """
    With a refusal or without a word; no event is written of it, since anybody could fill the log so, and others are answered.
    """
    raw, allowed = HOSTILE[what]
    async with gatehouse(folder) as house:
        before = len(house.events.events)
        said = await house.send(raw)

        assert said.status in allowed
        assert is_harmless(said)
        assert not said.raw or (said.headers["server"], said.json().keys()) == ("gatelodge", {"error"})
        assert len(house.events.events) == before
        assert (await house.ask("GET", "/v1/status")).status == 200


NAMES = ["..%2f..%2fetc%2fpasswd", "%2e%2e", "a%00b", "%ff%fe", "%ed%a0%80", "%0d%0aX-Evil:%201", "a" * 4000, "${jndi}"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_leads_elsewhere(folder: Path, name: str) -> None:
    """
    Is the name of no certificate, and no path.
    """
    async with gatehouse(folder) as house:
        said = await house.ask("POST", f"/v1/certificates/{name}/renew")

        assert said.status in {400, 404}
        assert "x-evil" not in said.headers
        assert said.json()
        assert is_harmless(said)


@pytest.mark.parametrize(
    "path", ["/v1/certificates/../../etc/passwd/renew", "//v1//status", "/v1/../v1/status", "/v1/%2e%2e/x"]
)
async def test_a_path_that_leads_elsewhere(folder: Path, path: str) -> None:
    """
    Leads nowhere.
    """
    async with gatehouse(folder) as house:
        said = await house.ask("POST", path)

        assert said.status in {404, 405}
        assert is_harmless(said)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/status", "GET,HEAD"),
        ("DELETE", "/v1/plan", "GET,HEAD"),
        ("GET", "/v1/reload", "POST"),
        ("PUT", f"/v1/certificates/{A}/renew", "POST"),
        ("TRACE", "/v1/status", "GET,HEAD"),
    ],
)
async def test_a_method_that_is_not_meant(folder: Path, method: str, path: str, allowed: str) -> None:
    """
    Is refused, with those that are.
    """
    async with gatehouse(folder) as house:
        said = await house.ask(method, path)

        assert (said.status, said.headers["allow"]) == (405, allowed)
        assert is_harmless(said)


BODIES = [
    b"{nonsense", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"force": 1}', b'{"force": "yes"}', b'{"forced": true}', b"[" * 60_000,
    b'{"force": ' * 5000, b"1" * 50_000,
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_a_body_that_makes_no_sense(folder: Path, body: bytes) -> None:
    """
    Changes nothing, and is told.
    """
    async with gatehouse(folder) as house:
        said = await house.ask("POST", f"/v1/certificates/{A}/renew", body=body)

        assert said.status == 400
        assert said.json()["error"]
        assert is_harmless(said)
        assert len(house.world.ca.asked) == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate", "nonsense"])
async def test_a_body_that_is_not_what_it_says(folder: Path, coding: str) -> None:
    """
    Neither packed as it claims nor in a charset that there is.
    """
    async with gatehouse(folder) as house:
        packed = await house.ask("POST", "/v1/renew", body=b"{}xx", headers={"Content-Encoding": coding})
        spelled = await house.ask(
            "POST", "/v1/renew", body=b"{}", headers={"Content-Type": f"application/json; charset={coding}"}
        )

        assert packed.status == 400
        assert spelled.status == 400
        assert is_harmless(packed)
        assert is_harmless(spelled)


async def test_a_huge_body(folder: Path) -> None:
    """
    Is not read, also when it comes in pieces, and is not even begun where the token is wrong.
    """
    async with gatehouse(folder) as house:
        large = b'{"certificate": "' + b"a" * 2_000_000 + b'"}'
        pieces = b"%x\r\n%s\r\n0\r\n\r\n" % (len(large), large)
        whole = await house.ask("POST", "/v1/renew", body=large)
        parted = await house.ask(
            "POST", "/v1/renew", body=pieces, headers={"Content-Length": "", "Transfer-Encoding": "chunked"}
        )
        strangers = await house.ask("POST", "/v1/renew", body=large, token=None)

        assert whole.status in {413, 0}
        assert parted.status in {413, 0}
        assert strangers.status in {401, 0}
        assert all(map(is_harmless, (whole, parted, strangers)))
        assert (await house.ask("GET", "/v1/status")).status == 200


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "])
async def test_who_is_slow_to_ask_is_cut_off(folder: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """
    Also when another byte comes now and then.
    """
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    async with gatehouse(folder) as house, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(sent)
        while not reader.at_eof():
            try:
                async with asyncio.timeout(0.1):
                    await reader.read(1)
            except TimeoutError:
                writer.write(b"x" if sent else b"")
            except ConnectionError:
                break
        writer.close()

        assert (await house.ask("GET", "/healthz")).status == 200


async def test_who_is_slow_to_send_a_body_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The connection ends then.
    """
    monkeypatch.setattr(routes, "_BODY_SECONDS", 0.3)
    async with gatehouse(folder) as house:
        said = await house.ask("POST", "/v1/renew", body=b"{", headers={"Content-Length": "100"})

        assert said.status == 408
        assert is_harmless(said)


async def test_connections_are_few(folder: Path) -> None:
    """
    One address holds so many at most; others come in, and it comes in again when it has let go.
    """
    async with gatehouse(folder) as house:
        held = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(connections.MOST_OF_ONE)]
        refused = await house.ask("GET", "/healthz")
        other = await house.ask("GET", "/healthz", source="127.0.0.2")
        for _, writer in held:
            writer.close()

        async def comes_in() -> bool:
            return (await house.ask("GET", "/healthz")).status == 200

        assert (refused.status, other.status) == (0, 200)
        await until(comes_in)


async def test_nobody_elsewhere_keeps_out_who_is_here(folder: Path) -> None:
    """
    When every connection over TCP is held, the socket answers all the same.
    """
    async with gatehouse(folder) as house:
        held = [
            await asyncio.open_connection("127.0.0.1", house.port, local_addr=(f"127.0.0.{2 + number % 4}", 0))
            for number in range(connections.MOST)
        ]
        refused = await house.ask("GET", "/healthz", source="127.0.0.9")
        door = client.Door(state_directory=str(folder), paths=(str(folder / "admin.sock"),))
        code, _ = await asyncio.to_thread(client.call, door, "GET", "/v1/status")
        for _, writer in held:
            writer.close()

        assert (refused.status, code) == (0, 200)


async def test_who_asks_too_often_is_told_when_to_come_again(folder: Path) -> None:
    """
    One address does not spend another's; once time has passed it is answered again.
    """
    async with gatehouse(folder) as house:
        seen = [(await house.ask("GET", "/healthz")).status for _ in range(60)]
        refused = await house.ask("GET", "/healthz")
        other = await house.ask("GET", "/healthz", source="127.0.0.2")

        assert set(seen) == {200}
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert other.status == 200

        house.world.clock.jump(house.world.clock.monotonic() + 1)

        assert (await house.ask("GET", "/healthz")).status == 200


async def test_wrong_tokens_cost_more(folder: Path) -> None:
    """
    After a few the address has to wait, also with the right one; nobody else has to.
    """
    async with gatehouse(folder) as house:
        seen = [(await house.ask("GET", "/v1/status", token="wrong" * 5)).status for _ in range(8)]
        right = await house.ask("GET", "/v1/status")
        other = await house.ask("GET", "/v1/status", source="127.0.0.2")

        assert seen == [401] * 6 + [429] * 2
        assert right.status == 429
        assert other.status == 200


async def test_a_token_that_was_changed(folder: Path) -> None:
    """
    Is asked for at once when the configuration was read again, also when only the file changed; whoever came in by the old one is cut
    off.
    """
    file = folder / "token"
    file.write_text(TOKEN)
    async with gatehouse(folder) as house:
        by_file = AdminSettings(
            listen=(Listener(port=house.port, address="127.0.0.1"),), token=SecretRef(file=str(file))
        )
        house.server.use(by_file)
        async with asyncio.TaskGroup() as group:
            group.create_task(house.ask("GET", "/v1/events", headers={"Accept": "text/event-stream"}))
            await until(lambda: house.server._connections._open)
            file.write_text("another-token-of-enough-length")
            house.server.use(by_file)

            async def is_changed() -> bool:
                return (await house.ask("GET", "/v1/status", token="another-token-of-enough-length")).status == 200

            await until(is_changed)

        assert (await house.ask("GET", "/v1/status")).status == 401


@pytest.mark.parametrize("content", ["short", "", None])
async def test_a_token_that_cannot_be_used_closes_the_address(folder: Path, content: str | None) -> None:
    """
    Too short, empty or gone: nobody comes in, an event says why without a word of it, and the socket answers on.
    """
    file = folder / "token"
    if content is not None:
        file.write_text(content)
    async with gatehouse(folder) as house:
        listen = (Listener(port=house.port, address="127.0.0.1"),)
        house.server.use(AdminSettings(listen=listen, token=SecretRef(file=str(file))))
        await until(lambda: house.events.of("admin.unavailable"))
        told = house.events.of("admin.unavailable")[-1]

        assert "[admin] token" in str(told["error.detail"])
        assert "short;" not in str(told)
        assert told["sockets"] == [str(folder / "admin.sock")]
        with pytest.raises(ConnectionRefusedError):
            await house.ask("GET", "/healthz")


async def test_a_port_that_is_taken(folder: Path) -> None:
    """
    Is told once, and tried again until it is free; the daemon goes on meanwhile.
    """
    blocker = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = blocker.sockets[0].getsockname()[1]
    async with gatehouse(folder, port=port, opens=False) as house:
        await until(lambda: house.events.of("admin.unavailable"))
        blocker.close()
        await blocker.wait_closed()
        house.world.clock.jump(house.world.clock.monotonic() + 61)
        await until(lambda: house.server.listening)

        assert f"127.0.0.1:{port}" in str(house.events.of("admin.unavailable")[0]["error.detail"])
        assert len(house.events.of("admin.unavailable")) == 1
        assert (await house.ask("GET", "/v1/status")).status == 200


async def test_an_address_that_is_not_wanted_any_more(folder: Path) -> None:
    """
    Is closed when the configuration was read again, and another one opened.
    """
    async with gatehouse(folder) as house:
        free = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = free.sockets[0].getsockname()[1]
        free.close()
        await free.wait_closed()
        house.server.use(settings(port))
        await until(lambda: house.server.listening == (f"127.0.0.1:{port}",))
        moved = dataclasses.replace(house, port=port)

        assert (await moved.ask("GET", "/v1/status")).status == 200
        with pytest.raises(ConnectionRefusedError):
            await house.ask("GET", "/healthz")


async def test_a_defect_is_told_in_the_events_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whoever asked hears that there is one.
    """
    async with gatehouse(folder) as house:

        async def broken() -> None:
            raise ZeroDivisionError("planted words")

        monkeypatch.setattr(house.world.reconciler, "look", broken)
        said = await house.ask("GET", "/v1/plan")

        assert said.status == 500
        assert "planted" not in json.dumps(said.json())
        assert "ZeroDivisionError" in str(house.events.of("admin.failed")[0]["error.detail"])
