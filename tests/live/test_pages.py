"""
What visitors read when there is nothing else to show, on the oldest nginx at hand and on the newest: sites that are closed for a while,
and pages of the user's own in place of errors.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.live.test_basic_auth import basic, users
from tests.support import auth_services, upstream
from tests.support.nginx_house import DEBIAN, WHEEL, house, url

from gatelodge.model import (
    BasicAuth,
    Files,
    ForwardKind,
    Guard,
    Headers,
    Maintenance,
    Name,
    Pool,
    Rate,
    Redirect,
    Respond,
    Route,
    Transport,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.nginx_house import House
    from tests.support.upstream import Seen

pytestmark = pytest.mark.live

SITE = "a.example.com"


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
    Yield a running upstream, which answers with the status that the path ends in.
    """
    async with upstream.running() as made:

        async def answer(seen: Seen) -> tuple[int, upstream.Pairs, bytes]:
            status = seen.target.partition("?")[0].rpartition("/")[2]
            return int(status) if status.isdecimal() else 200, (("WWW-Authenticate", "Bearer"),), b"app"

        made.answer = answer
        yield made


def route(path: str, to: upstream.Upstream, **more: object) -> Route:
    """
    Return a route to an upstream.
    """
    made = Route(path=path, action=Pool.of(url(f"http://127.0.0.1:{to.port}")))
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


def write(home: House, name: str, text: str, *, mode: int = 0o644) -> str:
    """
    Write a page of the user's own, and return its path.
    """
    file: Path = home.state / "public" / name
    file.write_text(text)
    file.chmod(mode)
    return str(file)


async def test_a_closed_site_says_when_it_will_be_back_whatever_is_asked(home: House, up: upstream.Upstream) -> None:
    """
    With 503 and a page, on every path and by every method, before anybody is asked who he is or sent anywhere; but those who work on it
    see it as it is. Tokens are answered, and so are other sites.
    """
    token = home.webroot / ".well-known/acme-challenge/token"
    token.write_text("token.thumbprint")
    token.chmod(0o644)
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    folder = home.state / "public"
    (folder / "index.html").write_text("files")
    routes = (
        route("/x/", up),
        route("/closed/", up, guard=Guard(auth="people", rate=Rate(requests=1, seconds=60))),
        Route(path="/files/", action=Files(root=str(folder))),
        Route(path="/say", action=Respond(body="said")),
        Route(path="/go/", action=Redirect(url="https://other.example/")),
        route("/small/", up, transport=Transport(body_size=10)),
    )
    closed = Maintenance(allow=("127.0.0.9", "2001:db8::/32"), retry_after=dt.timedelta(minutes=90))
    home.add(SITE, routes=routes, maintenance=closed, redirect_hosts=(Name("www.example.com"),))
    home.add("plain.example.com", routes=(route("/", up), *routes), maintenance=closed, tls=False)
    home.add("b.example.com", to=f"http://127.0.0.1:{up.port}")
    await home.serve()
    paths = ("/", "/x/", "/x/y.js", "/closed/", "/files/", "/files/none", "/say", "/go/", "/go", "/none", "/x/../none")
    for host in (SITE, "plain.example.com"):
        for path in paths:
            for method in ("GET", "POST", "PUT"):
                body = b"x" * 100 if method != "GET" else b""
                answer = await home.get(host, path, method=method, body=body, tls=host == SITE)
                assert (host, path, method, answer.status) == (host, path, method, 503)
                assert (answer.all("retry-after"), answer.all("content-type")) == (["5400"], ["text/html"])
                assert b"Closed for maintenance" in answer.body
        seen = len(up.seen)
        assert (await home.get(host, "/x/", source="127.0.0.9", tls=host == SITE)).body == b"app"
        assert (await home.get(host, "/x/503", source="127.0.0.9", tls=host == SITE)).body == b"app"
        for path, status in (("/closed/", 401), ("/files/", 200), ("/say", 200), ("/go/", 301)):
            answer = await home.get(host, path, source="127.0.0.9", tls=host == SITE)
            assert (path, answer.status, answer.all("retry-after")) == (path, status, [])
        assert len(up.seen) == seen + 2
        answer = await home.get(host, "/.well-known/acme-challenge/token", tls=False)
        assert (answer.status, answer.body) == (200, b"token.thumbprint")
    assert (await home.get("b.example.com")).status == 200


async def test_a_closed_site_shows_a_page_of_the_users_own(home: House, up: upstream.Upstream) -> None:
    """
    Read where it lies, so that it can be changed; while it is not there, or not to be read by nginx, our own words. It goes round in
    no circle, and an upstream's own 503 is nobody's maintenance.
    """
    page = write(home, 'closed $1 {x}; "é".html', "back soon")
    other = write(home, "404.html", "own 404")
    routes = (route("/", up, error_pages=((404, other),)), Route(path="/say", action=Respond(body="said")))
    home.add(SITE, routes=routes, maintenance=Maintenance(page=page, allow=("127.0.0.9",)))
    await home.serve()
    for body in (b"back soon", b"back now"):
        for method in ("GET", "POST"):
            for path in ("/", "/x.png", "/say"):
                answer = await home.get(SITE, path, method=method, body=b"x" if method == "POST" else b"")
                assert (answer.status, answer.body) == (503, body)
                assert (answer.all("retry-after"), answer.all("content-type")) == (["600"], ["text/html"])
        write(home, 'closed $1 {x}; "é".html', "back now")
    for path, status, body in (
        ("/404", 404, b"own 404"),
        ("/503", 503, b"503"),
        ("/500", 500, b"app"),
        ("/", 200, b"app"),
    ):
        answer = await home.get(SITE, path, source="127.0.0.9")
        assert (path, answer.status, body in answer.body) == (path, status, True)
        assert answer.all("retry-after") == []
    for break_it in (lambda: write(home, 'closed $1 {x}; "é".html', "secret", mode=0o600), Path(page).unlink):
        break_it()
        answer = await home.get(SITE, "/x.png")
        assert (answer.status, answer.all("retry-after")) == (503, ["600"])
        assert b"Closed for maintenance" in answer.body


async def test_the_pages_of_a_login_are_closed_with_the_site(home: House, up: upstream.Upstream) -> None:
    """
    Nobody is asked who he is, and nobody can sign in.
    """
    async with upstream.running() as other:
        service = auth_services.running(ForwardKind.OAUTH2_PROXY, other)
        home.auth["sso"] = service.entry()
        routes = (route("/", up, guard=Guard(auth="sso")), route("/share/", up))
        home.add(SITE, routes=routes, maintenance=Maintenance(allow=("127.0.0.9",)))
        await home.serve()
        for path in ("/", "/share/", "/oauth2/sign_in"):
            assert (path, (await home.get(SITE, path)).status) == (path, 503)
        assert other.seen == []
        for path, status in (("/", 302), ("/share/", 200), ("/oauth2/sign_in", 200)):
            assert (path, (await home.get(SITE, path, source="127.0.0.9")).status) == (path, status)


async def test_pages_of_ones_own_stand_in_place_of_errors(home: House, up: upstream.Upstream) -> None:
    """
    Whoever makes them, nginx or the upstream, on the routes that say so: with the same status, and the headers that belong to it. What
    is not named passes as it is.
    """
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    pages = tuple(
        (code, write(home, f"{code}.html", f"own {code}")) for code in (401, 403, 404, 413, 429, 500, 502, 503, 504)
    )
    spare = f"http://127.0.0.1:{home.spare[0]}"
    routes = (
        route("/", up, error_pages=pages),
        route("/other/", up),
        route("/closed/", up, error_pages=pages, guard=Guard(auth="people")),
        route("/out/", up, error_pages=pages, guard=Guard(deny=("127.0.0.0/8",))),
        route("/often/", up, error_pages=pages, guard=Guard(rate=Rate(requests=1, seconds=60))),
        route("/small/", up, error_pages=pages, transport=Transport(body_size=10)),
        Route(path="/dead/", action=Pool.of(url(spare)), error_pages=pages),
        Route(path="/files/", action=Files(root=str(home.state / "public")), error_pages=pages),
        Route(path="/say", action=Respond(status=404), error_pages=pages),
    )
    home.add(SITE, routes=routes)
    await home.serve()
    for code, _ in pages:
        answer = await home.get(SITE, f"/{code}")
        assert (answer.status, answer.body, answer.all("content-type")) == (code, f"own {code}".encode(), ["text/html"])
        assert code != 401 or answer.headers["www-authenticate"] == "Bearer"
        assert (await home.get(SITE, f"/{code}", method="POST", body=b"x" * 10_000)).body == f"own {code}".encode()
        assert (await home.get(SITE, f"/other/{code}")).body == b"app"
    for passed in (200, 201, 400, 405, 410, 418, 501):
        answer = await home.get(SITE, f"/{passed}")
        assert (answer.status, answer.body) == (passed, b"app")
    assert (await home.get(SITE, "/often/")).status == 200
    for path, code, body in (
        ("/closed/", 401, b""), ("/out/", 403, b""), ("/often/", 429, b""), ("/small/", 413, b"x" * 11), ("/dead/", 502, b""),
        ("/files/none", 404, b""), ("/say", 404, b""),
    ):  # fmt: skip
        answer = await home.get(SITE, path, method="POST" if body else "GET", body=body)
        assert (path, answer.status, answer.body) == (path, code, f"own {code}".encode())
    answer = await home.get(SITE, "/closed/")
    assert answer.all("www-authenticate") == ['Basic realm="People"']
    assert (await home.get(SITE, "/closed/404", headers=basic("ann"))).body == b"own 404"
    # The pages themselves are nowhere.
    for _, file in pages:
        assert (await home.get(SITE, f"/.gatelodge/pages{file}")).body == b"app"


async def test_a_page_that_is_not_there_changes_nothing(home: House, up: upstream.Upstream) -> None:
    """
    Neither the status, nor by going round in circles: nginx's own page of that status is shown, or ours of a service that is silent.
    """
    gone = tuple((code, str(home.state / "public" / "none $1.html")) for code in (401, 403, 404, 500, 502))
    hidden = tuple((code, write(home, "hidden.html", "secret", mode=0o600)) for code in (403, 404, 502))
    home.auth["people"] = BasicAuth(realm="People", users=users("ann"))
    spare = Pool.of(url(f"http://127.0.0.1:{home.spare[0]}"))
    routes = []
    for name, pages in (("gone", gone), ("hidden", hidden)):
        routes += [
            route(f"/{name}/", up, error_pages=pages),
            Route(path=f"/{name}/dead/", action=spare, error_pages=pages),
            Route(path=f"/{name}/files/", action=Files(root=str(home.state / "public")), error_pages=pages),
            route(f"/{name}/out/", up, error_pages=pages, guard=Guard(deny=("127.0.0.0/8",))),
        ]
    routes.append(route("/closed/", up, error_pages=gone, guard=Guard(auth="people")))
    home.add(SITE, routes=tuple(routes))
    await home.serve()
    for name in ("gone", "hidden"):
        for path, status in (
            ("404", 404),
            ("403", 403),
            ("502", 502),
            ("dead/", 502),
            ("files/none", 404),
            ("out/", 403),
        ):
            for method in ("GET", "POST"):
                if (path, method) == ("files/none", "POST"):
                    continue
                answer = await home.get(SITE, f"/{name}/{path}", method=method)
                assert (name, path, answer.status) == (name, path, status)
                assert b"secret" not in answer.body
    assert (await home.get(SITE, "/gone/500")).status == 500
    answer = await home.get(SITE, "/closed/")
    assert (answer.status, answer.all("www-authenticate")) == (401, ['Basic realm="People"'])


async def test_one_file_serves_several_statuses_and_routes(home: House, up: upstream.Upstream) -> None:
    """
    Each under its own status, also beside one of the same name elsewhere, and one that is the closed page too.
    """
    shared = write(home, "error.json", '{"error": true}')
    folder = home.state / "public" / "other"
    folder.mkdir()
    folder.chmod(0o755)
    other = write(home, "other/error.json", '{"other": true}')
    routes = (
        route("/", up, error_pages=((404, shared), (500, shared))),
        route("/x/", up, error_pages=((404, other), (500, shared))),
    )
    home.add(SITE, routes=routes, maintenance=Maintenance(page=shared, allow=("127.0.0.1",)))
    await home.serve()
    for path, status, body in (
        ("/404", 404, b'{"error": true}'), ("/500", 500, b'{"error": true}'), ("/x/404", 404, b'{"other": true}'),
        ("/x/500", 500, b'{"error": true}'),
    ):  # fmt: skip
        answer = await home.get(SITE, path)
        assert (path, answer.status, answer.body) == (path, status, body)
        assert answer.all("content-type") == ["application/json"]
    answer = await home.get(SITE, "/", source="127.0.0.9")
    assert (answer.status, answer.body) == (503, b'{"error": true}')


async def test_a_dead_service_has_a_page_on_its_route_alone(home: House, up: upstream.Upstream) -> None:
    """
    As HTML whatever was asked for, telling nothing of what stands behind; the upstream's own errors pass as they are.
    """
    spare = Pool.of(url(f"http://127.0.0.1:{home.spare[0]}"))
    dead = Route(path="/dead/", action=spare, headers=Headers(response=(("X-One", "1"),)))
    home.add(SITE, routes=(route("/", up), dead))
    await home.serve()
    for path in ("/dead/", "/dead/x.js", "/dead/x.png?y"):
        for method in ("GET", "POST"):
            answer = await home.get(SITE, path, method=method, body=b"x" if method == "POST" else b"")
            assert (answer.status, answer.all("content-type")) == (502, ["text/html"])
            assert b"No answer from this service" in answer.body
            assert str(home.spare[0]).encode() not in answer.body
    for status in (500, 502, 503, 504):
        answer = await home.get(SITE, f"/{status}")
        assert (answer.status, answer.body) == (status, b"app")
