"""
A real nginx whose master is root, a daemon that is not, and the helper between them with no more power than its unit leaves it.
"""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest
from tests.support.nginx_helper import USER, guarded, why_not
from tests.support.nginx_house import DEBIAN, WHEEL
from tests.support.waiting import until

from gatelodge.errors import NginxAway, NginxRefused
from gatelodge.model import AcmeIssuer, CertificateSpec, Name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.nginx_helper import Guarded

    from gatelodge.core.tree import Rendered

WHY_NOT = why_not()

pytestmark = [pytest.mark.live, pytest.mark.skipif(WHY_NOT != "", reason=WHY_NOT)]

WIKI, CLOUD = "wiki.example.com", "cloud.example.com"
UPSTREAM = "http://127.0.0.1:9"


@pytest.fixture(params=[DEBIAN, WHEEL], ids=["debian", "new"])
async def his(request: pytest.FixtureRequest) -> AsyncIterator[Guarded]:
    """
    His nginx, old and new.
    """
    async with guarded(request.param) as found:
        yield found


@pytest.fixture
async def debians() -> AsyncIterator[Guarded]:
    """
    His nginx, as Debian has it.
    """
    async with guarded(DEBIAN) as found:
        yield found


def tree(his: Guarded, *hosts: str, spoiled: tuple[str, str] | None = None) -> Rendered:
    """
    Render a tree with sites for these hosts; to one of them a text may be added.
    """
    his.home.sites = []
    for host in hosts:
        his.home.add(host, to=UPSTREAM)
    rendered = his.render()
    if spoiled:
        site, text = spoiled
        object.__setattr__(rendered, "sites", {**rendered.sites, site: rendered.sites[site] + text})
    return rendered


async def shows(his: Guarded, host: str, fingerprint: str) -> bool:
    """
    Tell whether visitors are shown a certificate.
    """
    try:
        return await his.home.fingerprint(host) == fingerprint
    except OSError:
        return False


async def dump(his: Guarded) -> str:
    """
    Return all that his nginx reads.
    """
    import asyncio  # noqa: PLC0415 - beside its one use

    process = await asyncio.create_subprocess_exec(
        his.nginx, "-T", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    printed, _ = await process.communicate()
    return printed.decode()


async def test_a_daemon_that_is_not_root_is_served_and_renewed(his: Guarded) -> None:
    """
    With sites, a renewal, and a start of nginx anew; nothing that nginx reads can be written by the daemon but the tokens it hands out.
    """
    first = await his.ask("apply", tree(his, WIKI, CLOUD))
    seen = await his.ask("observe")

    assert (seen.running, seen.current.number, seen.current.proven) == (first, first, True)
    assert await his.home.fingerprint(WIKI) == his.home.held[WIKI].fingerprint
    assert (await his.home.get(WIKI)).status == 502
    renewed = his.home.certify(WIKI)
    second = await his.ask("apply", his.render())
    assert second > first
    await until(lambda: shows(his, WIKI, renewed.fingerprint))
    read = await dump(his)
    assert f"{his.keep}/generations/" in read
    left = {row.strip() for row in read.split("\n") if str(his.state) in row}
    assert left == {f"root {his.home.webroot}; disable_symlinks on from={his.state.parent}; types {{ }}"}
    await his.stop()
    await his.start()
    await until(lambda: shows(his, WIKI, renewed.fingerprint))
    assert (await his.ask("observe")).running == second
    assert len(list((his.keep / "generations").iterdir())) == 2
    master = (his.folder / "nginx.pid").read_text().strip()
    assert os.stat(f"/proc/{master}").st_uid == 0  # noqa: PTH116 - of a process


async def test_tokens_are_served_and_links_among_them_are_not(his: Guarded) -> None:
    """
    The daemon puts tokens there by itself; a link would hand out what the workers may read and the daemon may not.
    """
    home = his.home
    await his.ask("apply", tree(his, WIKI))
    tokens = home.webroot / ".well-known/acme-challenge"
    (tokens / "token").write_text("answer")
    secret = his.folder / "secret"
    secret.write_text("secret")
    secret.chmod(0o644)
    (tokens / "link").symlink_to(secret)
    (home.webroot / "elsewhere").symlink_to(his.folder)
    assert (await home.get(WIKI, "/.well-known/acme-challenge/token", tls=False)).body == b"answer"
    assert (await home.get(WIKI, "/.well-known/acme-challenge/link", tls=False)).status == 403
    (tokens / "page.html").write_text("<script>")
    page = await home.get(WIKI, "/.well-known/acme-challenge/page.html", tls=False)
    assert page.headers["content-type"] == "text/plain"
    tokens.rename(tokens.with_name("aside"))
    tokens.symlink_to(his.folder)
    answer = await home.get(WIKI, "/.well-known/acme-challenge/secret", tls=False)
    assert answer.status in (403, 404)
    assert b"secret" not in answer.body
    home.webroot.rename(home.webroot.with_name("apart"))
    (his.folder / ".well-known/acme-challenge").mkdir(parents=True)
    (his.folder / ".well-known/acme-challenge/others").write_text("of another tool")
    home.webroot.symlink_to(his.folder)
    assert (await home.get(WIKI, "/.well-known/acme-challenge/others", tls=False)).status in (403, 404)


async def test_what_nginx_refuses_names_the_guilty_site(debians: Guarded) -> None:
    """
    The table lets it through, and nginx does not: a certificate that is none. The one before is served; the next tree is.
    """
    his = debians
    first = await his.ask("apply", tree(his, WIKI))
    rendered = tree(his, WIKI, CLOUD)
    chain = his.state / f"certificates/{CLOUD}/versions/1/fullchain.pem"
    good = chain.read_text()
    chain.write_text("junk")
    with pytest.raises(NginxRefused) as refused:
        await his.ask("apply", rendered)

    assert refused.value.guilty == {CLOUD}
    assert str(chain) in str(refused.value)
    assert str(his.keep) not in str(refused.value)
    seen = await his.ask("observe")
    assert (seen.running, [each.number for each in seen.generations]) == (first, [first])
    chain.write_text(good)
    assert await his.ask("apply", rendered) > first


async def test_a_mistake_of_his_own_blames_nobody(debians: Guarded) -> None:
    """
    Nothing is loaded then; the text names his file. Mended, it goes on.
    """
    his = debians
    first = await his.ask("apply", tree(his, WIKI))
    his.write("nonsense on;")
    with pytest.raises(NginxRefused) as refused:
        await his.ask("apply", tree(his, WIKI, CLOUD))

    assert refused.value.guilty == frozenset()
    assert str(his.folder / "nginx.conf") in str(refused.value)
    assert (await his.ask("observe")).running == first
    his.write("")
    assert await his.ask("apply", tree(his, WIKI, CLOUD)) > first


async def test_where_he_listens_he_answers_strangers(debians: Guarded) -> None:
    """
    Known from what the helper told; a second default server would be refused.
    """
    his = debians
    his.write(f'server {{ listen {his.home.settings.http_port} default_server; return 200 "his own"; }}')
    await his.type("-s", "reload")
    await his.help()
    await his.ask("apply", tree(his, WIKI))
    assert (await his.home.get("stranger.example", tls=False)).body == b"his own"


async def test_an_nginx_that_is_down_is_told_of_and_taken_up_when_it_is_back(debians: Guarded) -> None:
    """
    What was current stays so.
    """
    his = debians
    first = await his.ask("apply", tree(his, WIKI))
    await his.stop()
    with pytest.raises((NginxAway, NginxRefused)):
        await his.ask("apply", tree(his, WIKI, CLOUD))
    seen = await his.ask("observe")
    assert (seen.running, seen.current.number) == (None, first)
    await his.start()
    assert await his.ask("apply", tree(his, WIKI, CLOUD)) > first


EVIL = [
    ("load_module {secret};\n", "load_module"),
    ("\nserver {{\n    listen 81;\n    access_log {log};\n}}\n", "access_log"),
    ("\nserver {{\n    error_log {log};\n}}\n", "error_log"),
    ("\nserver {{\n    include {secret};\n}}\n", "include"),
    ("\nserver {{\n    ssl_certificate {secret};\n}}\n", "ssl_certificate"),
    ("\nserver {{\n    location / {{\n        root /;\n    }}\n}}\n", "root"),
    ("\nserver {{\n    location / {{\n        proxy_pass http://unix:/run/x.sock;\n    }}\n}}\n", "proxy_pass"),
]


@pytest.mark.parametrize(("text", "word"), EVIL)
async def test_a_hostile_daemon_becomes_nobody(debians: Guarded, text: str, word: str) -> None:
    """
    It may stage what it likes, and ask for it: nginx never reads it, no file is made, and what was served is.
    """
    his = debians
    first = await his.ask("apply", tree(his, WIKI))
    log, secret = his.folder / "evil.log", his.folder / "secret"
    secret.write_text("secret")
    rendered = tree(his, WIKI, CLOUD, spoiled=(CLOUD, text.format(log=log, secret=secret)))
    with pytest.raises(NginxRefused, match=rf"^the helper refuses “{word} ") as refused:
        await his.ask("apply", rendered)

    assert refused.value.guilty == {CLOUD}
    assert not log.exists()
    assert CLOUD not in await dump(his)
    assert (await his.ask("observe")).running == first


@pytest.mark.parametrize("trap", ["link", "hard link", "pipe"])
async def test_a_key_that_is_a_trap_is_not_read(debians: Guarded, trap: str) -> None:
    """
    Nginx's master is root and would open it: somebody else's key, or a pipe that it waits on for ever. A site with it is kept back.
    """
    his = debians
    await his.ask("apply", tree(his, WIKI))
    rendered = tree(his, WIKI, CLOUD)
    key, secret = his.state / f"certificates/{CLOUD}/versions/1/privkey.pem", his.state.parent / f"{his.state.name}-key"
    key.rename(secret)
    try:
        if trap == "link":
            key.symlink_to(secret)
        if trap == "pipe":
            os.mkfifo(key)
        his.give()
        if trap == "hard link":
            os.link(secret, key)
        his.give = lambda: None  # type: ignore[method-assign] # whose it is, is the point
        with pytest.raises(NginxRefused, match=r"the helper refuses .*/privkey\.pem: it ") as refused:
            await his.ask("apply", rendered)
    finally:
        secret.unlink()
    assert refused.value.guilty == {CLOUD}


async def test_answers_and_copies_are_roots(debians: Guarded) -> None:
    """
    The daemon reads what it must, and writes nothing of it; others do not read what nginx said.
    """
    his = debians
    await his.ask("apply", tree(his, WIKI))
    assert await his.ask("write") == []
    status = (his.run / "answer").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, pwd.getpwnam(USER).pw_gid, 0o640)
    keys = list(his.keep.rglob("privkey.pem"))
    assert keys
    assert {(each.stat().st_uid, each.stat().st_mode & 0o777) for each in keys} == {(0, 0o600)}


async def test_hand_written_blocks_include_the_copies(debians: Guarded) -> None:
    """
    Of a certificate and of the tokens, as in other ways; by the helper's link.
    """
    his, home = debians, debians.home
    home.certify(CLOUD)
    home.certificates = {CLOUD: CertificateSpec(name=CLOUD, names=(Name(CLOUD),), issuer=AcmeIssuer(ca="test"))}
    await his.ask("apply", tree(his, WIKI))
    port = home.spare[0]
    current: Path = his.keep / "current"
    his.write(
        f"server {{ listen {port} ssl; server_name {CLOUD}; include {current}/tls/{CLOUD}.conf; return 200 mine; }}"
    )
    await his.type("-s", "reload")
    await until(lambda: _is(his, port, home.held[CLOUD].fingerprint))
    renewed = home.certify(CLOUD)
    await his.ask("apply", his.render())
    await until(lambda: _is(his, port, renewed.fingerprint))


async def _is(his: Guarded, port: int, fingerprint: str) -> bool:
    try:
        return await his.home.fingerprint(CLOUD, port=port) == fingerprint
    except OSError:
        return False


async def test_the_first_tree_that_is_not_proven_leaves_none(debians: Guarded) -> None:
    """
    Without our line in his configuration nginx takes everything and serves nothing: the message has the line.
    """
    his = debians
    config = his.folder / "nginx.conf"
    config.write_text(config.read_text().replace("include", "# include"))
    await his.type("-s", "reload")
    with pytest.raises(Exception, match=rf"include {his.keep}/current/http.con\[f\];"):
        await his.ask("apply", tree(his, WIKI))
    assert not (his.keep / "current").exists()
    assert (await his.ask("observe")).current is None
