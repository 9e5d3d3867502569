"""
Files that nginx hands out: which one a path names, what it is called, and which are nobody's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support import upstream
from tests.support.nginx_house import DEBIAN, WHEEL, house, url

from gatelodge.model import Files, Guard, Match, Pool, Respond, Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.nginx_house import House

pytestmark = pytest.mark.live


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


def files(home: House, folder: str, *names: str) -> str:
    """
    Write files that everybody may read, each holding its own name, and return the folder's path.
    """
    root = home.state / folder
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        file.chmod(0o644)
    for each in (root, *root.rglob("*")):
        if each.is_dir():
            each.chmod(0o755)
    return str(root)


async def seen(home: House, target: str, host: str = "a.example.com") -> tuple[int, str]:
    """
    Return the status of an answer, and what it holds or where it leads.
    """
    answer = await home.get(host, target)
    return answer.status, answer.headers.get("location", "") or answer.body.decode()


async def test_a_folder_stands_for_the_path_of_its_route(home: House) -> None:
    """
    At the root, below a prefix, and below another one of the same site. A folder's index answers for it; its slash is added with the
    visitor's own host, port and query; what is not there is a 404.
    """
    root = files(home, "www", "index.html", "a.txt", "sub/index.html", "sub/b c/index.html", "empty/x", "docs/never")
    docs = files(home, "manual", "index.htm", "page.html", "deep/er/p.txt")
    home.add(
        "a.example.com",
        routes=(
            Route(path="/", action=Files(root=root)),
            Route(path="/docs/", action=Files(root=docs, index=("none.html", "index.htm"))),
        ),
    )
    await home.serve()
    for target, status, said in (
        ("/", 200, "index.html"),
        ("/?q=1", 200, "index.html"),
        ("/a.txt", 200, "a.txt"),
        ("/sub/", 200, "sub/index.html"),
        ("/sub", 301, "/sub/"),
        ("/sub?q=%20", 301, "/sub/?q=%20"),
        ("/sub/b%20c", 301, "/sub/b%20c/"),
        ("/sub/b%20c/", 200, "sub/b c/index.html"),
        ("/docs/", 200, "index.htm"),
        ("/docs", 301, "/docs/"),
        ("/docs?q=1", 301, "/docs/?q=1"),
        ("/docs/page.html", 200, "page.html"),
        ("/docs/deep/er", 301, "/docs/deep/er/"),
        ("/docs/deep/er/p.txt", 200, "deep/er/p.txt"),
    ):
        assert (target, *(await seen(home, target))) == (target, status, said)
    for target in ("/missing", "/a.txt/", "/docs/never", "/docs/a.txt", "/docsx/page.html", "/a.txt%00", "/a.txt%20"):
        assert (target, (await home.get("a.example.com", target)).status in {400, 404}) == (target, True)
    for target in ("/empty/", "/docs/deep/"):
        assert (target, (await seen(home, target))[0]) == (target, 403)
    assert (await home.get("a.example.com:2443", "/sub")).headers["location"] == "/sub/"
    assert (await home.get("a.example.com", "/a.txt", method="POST", body=b"x")).status == 405


async def test_a_file_is_called_what_it_is(home: House) -> None:
    """
    By the end of its name; text is UTF-8. Ranges and what a browser holds already work as everywhere.
    """
    kinds = {
        "a.html": "text/html; charset=utf-8", "a.css": "text/css", "a.js": "text/javascript", "a.mjs": "text/javascript",
        "a.json": "application/json", "a.svg": "image/svg+xml", "a.png": "image/png", "a.JPG": "image/jpeg",
        "a.webp": "image/webp", "a.wasm": "application/wasm", "a.woff2": "font/woff2", "a.txt": "text/plain; charset=utf-8",
        "a.pdf": "application/pdf", "a.webmanifest": "application/manifest+json", "a.mp4": "video/mp4",
        "a": "application/octet-stream", "a.unheard-of": "application/octet-stream",
    }  # fmt: skip
    home.add("a.example.com", routes=(Route(path="/", action=Files(root=files(home, "www", *kinds))),))
    await home.serve()
    for name, kind in kinds.items():
        answer = await home.get("a.example.com", f"/{name}")
        assert (name, answer.status, answer.headers["content-type"]) == (name, 200, kind)
    tag = (await home.get("a.example.com", "/a.css")).headers["etag"]
    assert (await home.get("a.example.com", "/a.css", headers={"If-None-Match": tag})).status == 304
    part = await home.get("a.example.com", "/a.css", headers={"Range": "bytes=2-4"})
    assert (part.status, part.body) == (206, b"css")


async def test_an_application_of_one_page_answers_for_what_is_not_there(home: House, up: upstream.Upstream) -> None:
    """
    At the root and below a prefix, each with its own page, with 200 and the path unchanged; files that are there are themselves.
    Without the page there is a 404 and nothing that goes round in circles. The page may be another route's, which gets the query.
    """
    app = files(home, "app", "index.html", "assets/app.js")
    docs = files(home, "docs", "index.html", "assets/docs.js")
    void = files(home, "void", "x.txt")
    home.add(
        "a.example.com",
        routes=(
            Route(path="/", action=Files(root=app, fallback="/index.html")),
            Route(path="/docs/", action=Files(root=docs, fallback="/docs/index.html")),
            Route(path="/void/", action=Files(root=void, fallback="/void/index.html")),
        ),
    )
    script = Route(path=r"\.php$", match=Match.REGEX, action=Pool.of(url(f"http://127.0.0.1:{up.port}")))
    blog = Route(path="/blog/", action=Files(root=void, fallback="/blog/index.php"))
    home.add("b.example.com", routes=(Route(path="/", action=Files(root=void, fallback="/index.php")), script, blog))
    (home.state / "docs/index.html").write_text("docs page")
    await home.serve()
    for target, said in (
        ("/", "index.html"),
        ("/users/12?tab=1", "index.html"),
        ("/users/a.b%2Fc", "index.html"),
        ("/assets/app.js", "assets/app.js"),
        ("/assets/gone.js", "index.html"),
        ("/docs/", "docs page"),
        ("/docs/chapter/1", "docs page"),
        ("/docs/assets/docs.js", "assets/docs.js"),
        ("/void/x.txt", "x.txt"),
    ):
        assert (target, *(await seen(home, target))) == (target, 200, said)
    assert (await home.get("a.example.com", "/void/other")).status == 404
    for target, reached in (
        ("/any?q=%20", "/index.php?q=%20"),
        ("/blog/any?q", "/blog/index.php?q"),
        ("/a", "/index.php"),
    ):
        assert (await home.get("b.example.com", target)).status == 200
        assert up.seen[-1].target == reached


async def test_a_folder_is_listed_where_that_is_asked_for_only(home: House) -> None:
    """
    With its index it is not; names that begin with a dot are not in the list; names are escaped in it.
    """
    root = files(home, "www", "plain/one.txt", "plain/.secret", "plain/<b> &.txt", "indexed/index.html", "plain/sub/x")
    home.add(
        "a.example.com",
        routes=(
            Route(path="/", action=Files(root=root)),
            Route(path="/list/", action=Files(root=root, listing=True)),
        ),
    )
    await home.serve()
    assert (await home.get("a.example.com", "/plain/")).status == 403
    listed = (await home.get("a.example.com", "/list/plain/")).body.decode()
    assert 'href="one.txt"' in listed
    assert 'href="sub/"' in listed
    assert "&lt;b&gt; &amp;.txt" in listed
    assert "<b>" not in listed
    assert "secret" not in listed
    assert await seen(home, "/list/indexed/") == (200, "indexed/index.html")
    assert (await home.get("a.example.com", "/list/")).status == 200


async def test_hidden_files_are_refused_however_they_are_asked_for(home: House) -> None:
    """
    At any depth and in any spelling, by a prefix, a regular expression and where there is a fallback. Only `.well-known` is there for
    visitors (RFC 8615).
    """
    names = (
        ".env",
        ".git/config",
        "sub/.htpasswd",
        "sub/.ssh/id",
        ".well-known/security.txt",
        "index.html",
        "a..b",
        ".php",
    )
    root = files(home, "www", *names)
    home.add(
        "a.example.com",
        routes=(
            Route(path="/", action=Files(root=root, fallback="/index.html", listing=True)),
            Route(path="/p/", action=Files(root=root)),
            Route(path="^/sub/", match=Match.REGEX, action=Files(root=root)),
        ),
    )
    await home.serve()
    for target in (
        "/.env", "/%2eenv", "/%2Eenv", "//.env", "/./.env", "/x/../.env", "/.env?x", "/.env/", "/.missing", "/.git", "/.git/",
        "/.git/config", "/%2egit/config", "/.git%2fconfig", "/sub/.htpasswd", "/sub/%2ehtpasswd", "/sub/.ssh/id", "/sub/.ssh/",
        "/p/.env", "/p/%2eenv", "/p/.git/config", "/p/sub/.htpasswd", "/.well-knownx/a", "/.php",
    ):  # fmt: skip
        status, said = await seen(home, target)
        assert (target, status) == (target, 404)
        assert "index" not in said
    for target, said in (
        ("/.well-known/security.txt", ".well-known/security.txt"),
        ("/p/.well-known/security.txt", ".well-known/security.txt"),
        ("/a..b", "a..b"),
    ):
        assert await seen(home, target) == (200, said)


async def test_nothing_leads_out_of_the_folder_but_what_its_owner_put_there(home: House) -> None:
    """
    Dots in a path are resolved before a file is looked for, in any spelling, and a name that a folder's name begins with is not in it.
    A link that lies in the folder is followed, as nginx does, to what the workers may read.
    """
    root = files(home, "www", "index.html", "sub/a.txt")
    files(home, "www-old", "secret.txt")
    outside = files(home, "outside", "linked.txt", "closed.txt")
    (home.state / "outside/closed.txt").chmod(0)
    for name in ("linked.txt", "closed.txt"):
        (home.state / "www" / name).symlink_to(home.state / "outside" / name)
    (home.state / "www/folder").symlink_to(outside)
    home.add(
        "a.example.com",
        routes=(
            Route(path="/", action=Files(root=root)),
            Route(path="/docs/", action=Files(root=root)),
            Route(path="^/(rx|sub)/", match=Match.REGEX, action=Files(root=root)),
        ),
    )
    await home.serve()
    for way in (
        "..",
        "%2e%2e",
        ".%2e",
        "%2E.",
        "..%2f..",
        "..\\..",
        "%5c..%5c..",
        "..;",
        "%252e%252e",
        "..%00",
        "%c0%ae%c0%ae",
    ):
        for before in ("/", "/docs/", "/docs", "/sub/", "/sub/x/", "/docs/sub/", "//", "/rx/"):
            for after in (
                "/outside/linked.txt",
                "/www-old/secret.txt",
                "-old/secret.txt",
                "/nginx/nginx.conf",
                "/../../etc/passwd",
            ):
                answer = await home.get("a.example.com", f"{before}{way}{after}")
                assert (f"{before}{way}{after}", answer.status in {301, 400, 403, 404}) == (
                    f"{before}{way}{after}",
                    True,
                )
                assert "secret" not in answer.body.decode()
                assert not answer.headers.get("location", "").startswith("//")
    assert await seen(home, "/linked.txt") == (200, "linked.txt")
    assert await seen(home, "/docs/folder/linked.txt") == (200, "linked.txt")
    assert (await seen(home, "/closed.txt"))[0] == 403


async def test_exact_paths_and_regular_expressions_lead_to_a_folder_too(home: House) -> None:
    """
    Their whole path is looked for in it. An exact one never leads to another route, also where it is that of a folder; and the path
    is the owner's choice, even one that begins with a dot.
    """
    root = files(
        home, "www", "index.html", "robots.txt", "sub/index.html", "img/x.png", "img/y.txt", ".own", '$f ".txt'
    )
    only = Files(root=root)
    home.add(
        "a.example.com",
        routes=(
            Route(path="/", match=Match.EXACT, action=only),
            Route(path="/robots.txt", match=Match.EXACT, action=only),
            Route(path="/sub/", match=Match.EXACT, action=only),
            Route(path="/gone", match=Match.EXACT, action=only),
            Route(path="/.own", match=Match.EXACT, action=only),
            Route(path='/$f ".txt', match=Match.EXACT, action=only),
            Route(path="/img/", match=Match.EXACT, action=Files(root=root, listing=True)),
            Route(path="/other", match=Match.EXACT, action=Files(root=root, fallback="/robots.txt")),
            Route(path=r"\.(png|jpe?g)$", match=Match.REGEX, action=only),
            Route(path="/", action=Respond(status=404, body="elsewhere")),
        ),
    )
    await home.serve()
    for target, status, said in (
        ("/", 200, "index.html"),
        ("/?q", 200, "index.html"),
        ("/index.html", 404, "elsewhere"),
        ("/robots.txt", 200, "robots.txt"),
        ("/sub/", 200, "sub/index.html"),
        ("/.own", 200, ".own"),
        ("/%24f%20%22.txt", 200, '$f ".txt'),
        ("/other?q", 200, "robots.txt"),
        ("/img/x.png", 200, "img/x.png"),
        ("/img/y.txt", 404, "elsewhere"),
    ):
        assert (target, *(await seen(home, target))) == (target, status, said)
    assert (await home.get("a.example.com", "/gone")).status == 404
    assert (await home.get("a.example.com", "/img/none.png")).status == 404
    assert b'href="x.png"' in (await home.get("a.example.com", "/img/")).body


async def test_strange_names_of_files_and_folders_mean_themselves(home: House) -> None:
    """
    Spaces, quotes, what nginx takes for variables, and letters of every kind: of the folder, of the index, the fallback and the files.
    """
    names = (
        "a b.txt",
        "'q\".txt",
        "$uri ${host}.txt",
        "{;}.txt",
        "你好 ü.txt",
        "back\\slash",
        "100%.txt",
        "#?.txt",
        "in $dex'.html",
    )
    root = files(home, "w $1 ${host} {;} '\" 你 \\ [*]?", *names)
    home.add(
        "a.example.com",
        routes=(
            Route(path="/", action=Files(root=root, index=("in $dex'.html",), fallback="/a b.txt")),
            Route(path="/ü $x/", action=Files(root=root, index=("in $dex'.html",))),
        ),
    )
    await home.serve()
    encoded = {
        "a%20b.txt": "a b.txt", "'q%22.txt": "'q\".txt", "$uri%20${host}.txt": "$uri ${host}.txt", "%24uri%20%24%7Bhost%7D.txt":
        "$uri ${host}.txt", "%7B%3B%7D.txt": "{;}.txt", "%E4%BD%A0%E5%A5%BD%20%C3%BC.txt": "你好 ü.txt", "back%5Cslash": "back\\slash",
        "100%25.txt": "100%.txt", "%23%3F.txt": "#?.txt", "": "in $dex'.html",
    }  # fmt: skip
    for prefix in ("/", "/%C3%BC%20$x/"):
        for target, said in encoded.items():
            assert (target, *(await seen(home, f"{prefix}{target}"))) == (target, 200, said)
    assert await seen(home, "/missing") == (200, "a b.txt")
    assert await seen(home, "/%C3%BC%20$x?q") == (301, "/%C3%BC%20%24x/?q")


async def test_files_that_the_workers_may_not_read_are_refused_and_routes_are_guarded(home: House) -> None:
    """
    The workers are not root: a file that they may not read is a 403, as is every file for who may not come.
    """
    root = files(home, "www", "open.txt", "closed.txt")
    (home.state / "www/closed.txt").chmod(0)
    guard = Guard(allow=("192.0.2.0/24",))
    home.add(
        "a.example.com",
        routes=(Route(path="/", action=Files(root=root)), Route(path="/some/", action=Files(root=root), guard=guard)),
    )
    await home.serve()
    assert await seen(home, "/open.txt") == (200, "open.txt")
    assert (await seen(home, "/closed.txt"))[0] == 403
    assert (await seen(home, "/some/open.txt"))[0] == 403
    assert (await seen(home, "/some/.env"))[0] in {403, 404}
