"""
Passwords that nginx checks itself, on the oldest nginx at hand and on the newest: whom they let in, and who can read them.
"""

from __future__ import annotations

import base64
import dataclasses
import grp
import stat
from typing import TYPE_CHECKING

import pytest
from tests.support import upstream
from tests.support.nginx_house import DEBIAN, NOW, WHEEL, house, parse, url

from gatelodge.core.tree import Quarantine
from gatelodge.model import BasicAuth, Files, Guard, Pool, Redirect, Respond, Route, Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.nginx_house import Answer, House

pytestmark = pytest.mark.live

PASSWORD = "correct horse"

#: The same password as `htpasswd -B`, `openssl passwd` and `slappasswd` write it, and Python's bcrypt.
HASHES = {
    "bcrypt": "$2b$04$7N4j5nsluenvWrWpkXHT6.LqXGsYRr/ok905mJ6Qb6qrFnkkveSCu",
    "htpasswd": "$2y$04$oc9mP0cAIXCwLAqzU65ZZeWb2waKIcTc.vzy8VXBL11s3pt8/52L2",
    "sha512": "$6$qKqqiYzDd8WZwi12$veiVGHW7C7gBEOebGkrrNvsWh7MVuBeCMCl60Kj3WwjDGQ4mO1J.VU0wjKL65Q8Kieud.oujsb2WUR6HOF0TZ0",
    "sha256": "$5$9qvLGFd0biypO2he$K/ZdJnjzQvvCKhkVdJs4HDoa5adbXJnUUfhHtSZMMn/",
    "apr1": "$apr1$xVMvm2gr$CA8hT1tPLoteqWz.zMX1d.",
    "ssha": "{SSHA}awc/Cj0kafyFd5d8fGn07xoHBJJzYWx0c2FsdA==",
}

#: What is special in a password file, in nginx's configuration or in a shell, and letters that are not of ASCII.
HOSTILE = r"""a b"c'd$e{f};\g #h%2F&<@>ü你"""


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "wheel"])
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """
    Yield a house, once with each nginx.
    """
    async with house(request.param) as made:
        yield made


@pytest.fixture
async def up() -> AsyncIterator[upstream.Upstream]:
    """
    Yield a running upstream.
    """
    async with upstream.running() as made:
        yield made


def users(*names: str, **hashed: str) -> tuple[tuple[str, Secret], ...]:
    """
    Return users with the password above.
    """
    plain = dict.fromkeys(names, HASHES["apr1"])
    return tuple((name, Secret(text)) for name, text in {**plain, **hashed}.items())


def basic(user: str, password: str = PASSWORD) -> dict[str, str]:
    """
    Return the header by which a user shows his password (RFC 7617 §2.1).
    """
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def guarded(path: str, to: upstream.Upstream, auth: str | None = "people", **more: object) -> Route:
    """
    Return a route to an upstream that asks for a password.
    """
    guard = dataclasses.replace(Guard(auth=auth), **more)  # type: ignore[arg-type]
    return Route(path=path, action=Pool.of(url(f"http://127.0.0.1:{to.port}")), guard=guard)


def password_files(home: House) -> dict[str, Path]:
    """
    Return the password files in the state directory, by the NAME of their entry.
    """
    return {each.name.rpartition(".")[0]: each for each in (home.state / "auth").iterdir()}


async def test_every_kind_of_hash_lets_its_user_in_and_nobody_else(home: House, up: upstream.Upstream) -> None:
    """
    Both programs know them all: Debian's by the machine's crypt, the static one by its own. A user's password is his alone, and a
    name may hold anything but a colon.
    """
    home.auth["people"] = BasicAuth(realm="People", users=(*users(HOSTILE), *users(**HASHES)))
    home.add("a.example.com", routes=(guarded("/", up),))
    await home.serve()
    for user in (*HASHES, HOSTILE):
        assert (user, (await home.get("a.example.com", headers=basic(user))).status) == (user, 200)
    seen = len(up.seen)
    assert seen == len(HASHES) + 1
    for sent in (
        {},
        *(basic(user, "wrong") for user in (*HASHES, HOSTILE)),
        *(basic(user, "") for user in HASHES),
        basic("nobody"),
        basic(HOSTILE[:3]),
        basic("bcrypt", HASHES["bcrypt"]),
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": f"Bearer {PASSWORD}"},
    ):
        answer = await home.get("a.example.com", headers=sent)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Basic realm="People"')
    assert len(up.seen) == seen


@pytest.mark.parametrize(
    ("realm", "shown"),
    [("off", "off"), ("", ""), ('say "hi"\\, $host {1};', r"say \"hi\"\\, $host {1};"), ("你好", "你好")],
    ids=["off", "empty", "special", "unicode"],
)
async def test_a_realm_is_shown_and_never_opens_the_door(
    home: House, up: upstream.Upstream, realm: str, shown: str
) -> None:
    """
    To nginx "off" means that nobody is asked; to us it is a word like any other. Quotes stay inside the header's own (RFC 9110
    §11.5).
    """
    home.auth["people"] = BasicAuth(realm=realm, users=users("ann"))
    home.add("a.example.com", routes=(guarded("/", up),))
    await home.serve()
    answer = await home.get("a.example.com")
    assert answer.status == 401
    assert answer.headers["www-authenticate"].encode("latin-1").decode().replace(' "', '"') == f'Basic realm="{shown}"'
    assert (await home.get("a.example.com", headers=basic("ann"))).status == 200


async def test_a_file_of_the_users_own_is_read_where_it_lies(home: House, up: upstream.Upstream) -> None:
    """
    It is the user's to change: what he writes there counts at once, without a reload. Nothing of it is copied. A path may hold what
    is special to nginx. While it is not there nobody comes in.
    """
    own = home.state / "public" / "pass $words {1};.txt"
    own.write_text(f"# by hand\nann:{HASHES['bcrypt']}\nbob:{HASHES['apr1']}:a remark\n")
    own.chmod(0o644)
    home.auth["people"] = BasicAuth(realm="People", file=str(own))
    home.add("a.example.com", routes=(guarded("/", up),))
    await home.serve()
    assert password_files(home) == {}
    for user, status in (("ann", 200), ("bob", 200), ("eve", 401)):
        assert (await home.get("a.example.com", headers=basic(user))).status == status
    own.write_text(f"eve:{HASHES['ssha']}\n")
    for user, status in (("ann", 401), ("eve", 200)):
        assert (await home.get("a.example.com", headers=basic(user))).status == status
    own.unlink()
    assert (await home.get("a.example.com", headers=basic("eve"))).status in {403, 500}


async def test_passwords_are_read_by_nginxs_workers_and_by_nobody_else(home: House, up: upstream.Upstream) -> None:
    """
    Ours lie in a folder of the state directory, with the workers' group where the master is root.
    """
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    home.add("a.example.com", routes=(guarded("/", up),))
    await home.serve()
    file = password_files(home)["people"]
    group = home.capabilities().group
    for path, mode in ((file, 0o640), (file.parent, 0o750)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert group is None or path.stat().st_gid == grp.getgrnam(group).gr_gid
    assert (await home.get("a.example.com", headers=basic("ann"))).status == 200
    for text in (home.render().entry, home.render().prelude, *home.render().sites.values()):
        assert "apr1" not in text
    assert "apr1" not in repr(home.render())


async def test_a_changed_password_counts_after_a_reload_and_the_old_file_goes_with_its_tree(
    home: House, up: upstream.Upstream
) -> None:
    """
    A file is called after what it holds and never changes, so a tree that is gone back to has the passwords that it had. One that no
    tree names is deleted; what is not ours stays.
    """
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    home.add("a.example.com", routes=(guarded("/", up),))
    await home.serve()
    before = password_files(home)["people"]
    other = home.state / "auth" / "by hand"
    other.write_text("kept")
    home.auth["people"] = BasicAuth(realm="People", users=users("bob"))
    await home.serve_anew()
    now = password_files(home)["people"]
    assert {before, now, other} == set((home.state / "auth").iterdir())
    for user, status in (("ann", 401), ("bob", 200)):
        assert (await home.get("a.example.com", headers=basic(user))).status == status
    await home.managed().prune([1])
    assert {now, other} == set((home.state / "auth").iterdir())
    assert (await home.get("a.example.com", headers=basic("bob"))).status == 200


async def test_a_site_that_is_kept_back_keeps_its_passwords(home: House, up: upstream.Upstream) -> None:
    """
    Its older text names a file that the configuration does not ask for any more: neither that it is changed nor that older trees are
    deleted takes it away.
    """
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    home.add("a.example.com", routes=(guarded("/", up),))
    await home.serve()
    kept = home.render().sites["a.example.com"]
    home.auth["people"] = BasicAuth(realm="People", users=users("bob"))
    fresh = home.render().fresh["a.example.com"]
    home.quarantines = {
        "a.example.com": Quarantine(site="a.example.com", digest=fresh, error="no", since=NOW, retry_at=NOW, kept=kept)
    }
    await home.serve_anew()
    await home.managed().prune([1])
    for user, status in (("ann", 200), ("bob", 401)):
        assert (await home.get("a.example.com", headers=basic(user))).status == status


async def test_a_file_is_given_to_the_workers_of_today(home: House, up: upstream.Upstream) -> None:
    """
    After nginx's user was changed, a file that is there already is of another group.
    """
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    home.add("a.example.com", routes=(guarded("/", up),))
    await home.serve()
    file = password_files(home)["people"]
    file.chmod(0o600)
    home.add("b.example.com", routes=(guarded("/", up),))
    await home.serve_anew()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert (await home.get("b.example.com", headers=basic("ann"))).status == 200


async def test_a_route_is_open_where_it_says_so_and_nowhere_else(home: House, up: upstream.Upstream) -> None:
    """
    Each route stands alone, whatever it does: what is guarded is guarded under every spelling of its path, and another entry's users
    are not its own. In plain it is the same as over TLS.
    """
    folder = home.state / "public"
    (folder / "index.html").write_text("files")
    (folder / ".env").write_text("secret")
    (folder / ".well-known").mkdir()
    (folder / ".well-known" / "x").write_text("known")
    home.auth |= {
        "people": BasicAuth(realm="People", users=users("ann")),
        "staff": BasicAuth(realm="Staff", users=users("bob")),
    }
    closed = Guard(auth="people")
    routes = (
        guarded("/", up),
        guarded("/share/", up, None),
        guarded("/staff/", up, "staff"),
        Route(path="/files/", action=Files(root=str(folder)), guard=closed),
        Route(path="/open/", action=Files(root=str(folder))),
        Route(path="/say", action=Respond(body="secret"), guard=closed),
        Route(path="/go", action=Redirect(url="https://secret.example/"), guard=closed),
    )
    home.add("a.example.com", routes=routes)
    home.add("plain.example.com", routes=routes, tls=False)
    await home.serve()

    async def status(host: str, target: str, user: str = "") -> int:
        answer: Answer = await home.get(
            host, target, tls=host != "plain.example.com", headers=basic(user) if user else None
        )
        return answer.status

    for host in ("a.example.com", "plain.example.com"):
        for target in ("/share/x", "/share/", "/open/", "/open/index.html"):
            assert (target, await status(host, target)) == (target, 200)
        seen = len(up.seen)
        for target in (
            *("/", "/x", "/share", "/sharex", "//", "/share/../x", "/share/%2e%2e/x", "/share/..%2fx", "/staff/x"),
            *("/%73taff/x", "/files/", "/files/index.html", "/say", "/go", "/files/.well-known/x"),
        ):
            refused = await status(host, target)
            assert (target, refused) in {(target, 401), (target, 400), ("/share", 301)}
        assert len(up.seen) == seen
        for target, user, expected in (
            ("/", "ann", 200), ("/", "bob", 401), ("/staff/", "bob", 200), ("/staff/", "ann", 401),
            ("/files/", "ann", 200), ("/files/", "bob", 401),
        ):  # fmt: skip
            assert (target, user, await status(host, target, user)) == (target, user, expected)
        # What begins with a dot is there for nobody, but what is to be known (RFC 8615) for those who may come.
        for target, expected in (("/files/.env", 404), ("/open/.env", 404), ("/files/.well-known/x", 200)):
            assert (target, await status(host, target, "ann")) == (target, expected)
        assert await status(host, "/files/.env") in {401, 404}


async def test_answers_of_nginx_itself_ask_for_the_password_too(home: House) -> None:
    """
    To nginx a `return` comes before anybody is asked.
    """
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    closed = Guard(auth="people")
    routes = (
        Route(path="/say", action=Respond(body="secret"), guard=closed),
        Route(path="/go/", action=Redirect(url="https://secret.example/"), guard=closed),
        Route(path="/there/", action=Redirect(url="https://secret.example/", keep_path=False), guard=closed),
    )
    home.add("a.example.com", routes=routes)
    await home.serve()
    for target in ("/say", "/go/x", "/there/x"):
        answer = await home.get("a.example.com", target)
        assert answer.status == 401
        assert "secret" not in str(answer)
    assert (await home.get("a.example.com", "/say", headers=basic("ann"))).body == b"secret"
    answer = await home.get("a.example.com", "/go/x?y", headers=basic("ann"))
    assert (answer.status, answer.headers["location"]) == (301, "https://secret.example/x?y")


async def test_tokens_need_no_password(home: House, up: upstream.Upstream) -> None:
    """
    A CA has none.
    """
    token = home.webroot / ".well-known/acme-challenge/token"
    token.write_text("token.thumbprint")
    token.chmod(0o644)
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    home.add("a.example.com", routes=(guarded("/", up),))
    home.add("plain.example.com", routes=(guarded("/", up),), tls=False)
    await home.serve()
    for host in ("a.example.com", "plain.example.com"):
        answer = await home.get(host, "/.well-known/acme-challenge/token", tls=False)
        assert (answer.status, answer.body) == (200, b"token.thumbprint")
    assert (await home.get("plain.example.com", "/.well-known/acme-challenge/../x", tls=False)).status in {400, 401}


UPGRADE = (
    b"GET /live HTTP/1.1\r\nHost: a.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"
)


async def test_a_websocket_needs_the_password_once(home: House, up: upstream.Upstream) -> None:
    """
    Without it there is no upgrade; with it bytes flow.
    """
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    home.add("a.example.com", routes=(guarded("/", up),))
    await home.serve()
    for sent, status in ((b"", 401), (f"Authorization: {basic('ann')['Authorization']}\r\n".encode(), 101)):
        reader, writer = await home.connect(home.settings.https_port, "a.example.com")
        writer.write(UPGRADE % sent)
        assert parse(await reader.readuntil(b"\r\n\r\n")).status == status
        if status == 101:
            writer.write(b"ping")
            assert await reader.readexactly(4) == b"ping"
        writer.close()
    assert len(up.seen) == 1
