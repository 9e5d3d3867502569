"""
Trees for an nginx that others run: reached by commands, and through the mailbox with its script; old and new.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest
from tests.support import upstream
from tests.support.nginx_dns import naming
from tests.support.nginx_external import Others, others
from tests.support.nginx_house import DEBIAN, NOW, WHEEL
from tests.support.waiting import until

from gatelodge.core.tree import Quarantine
from gatelodge.errors import NginxAway, NginxMissing, NginxRefused, NginxUnproven
from gatelodge.model import AcmeIssuer, CertificateSpec, Name
from gatelodge.nginx.writing.snippets import CHALLENGE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gatelodge.core.tree import Rendered
    from gatelodge.nginx.external import External

pytestmark = pytest.mark.live

WIKI, CLOUD = "wiki.example.com", "cloud.example.com"
UPSTREAM = "http://127.0.0.1:9"


@pytest.fixture(
    params=[(DEBIAN, "commands"), (DEBIAN, "mailbox"), (WHEEL, "mailbox")], ids=["commands", "mailbox", "new"]
)
async def his(request: pytest.FixtureRequest) -> AsyncIterator[Others]:
    """
    His nginx, reached in each way.
    """
    program, way = request.param
    async with others(program, way) as found:
        yield found


@pytest.fixture
async def mailbox() -> AsyncIterator[Others]:
    """
    His nginx with a mailbox whose script the test runs itself.
    """
    async with others(DEBIAN, "mailbox") as found:
        yield found


def tree(his: Others, *hosts: str, spoiled: str | None = None) -> Rendered:
    """
    Render a tree with sites for these hosts, one of which may hold what no nginx takes.
    """
    his.home.sites = []
    for host in hosts:
        his.home.add(host, to=UPSTREAM)
    rendered = his.render()
    if spoiled:
        object.__setattr__(rendered, "sites", {**rendered.sites, spoiled: "nonsense on;\n"})
    return rendered


async def served(his: Others, nginx: External, *hosts: str) -> int:
    """
    Apply a tree with these hosts, and return its number.
    """
    return await nginx.apply(tree(his, *hosts))


async def test_a_tree_is_served_beside_what_he_has(his: Others) -> None:
    """
    His http {} says most of what ours says, in his own way; ours keeps to its own servers. Nothing of his is touched.
    """
    port = his.home.spare[0]
    his.write(f'server {{ listen {port}; location / {{ return 200 "his own"; }} }}')
    await his.type("-s", "reload")
    before = (his.folder / "nginx.conf").read_text()
    nginx = his.external()
    number = await served(his, nginx, WIKI, CLOUD)
    seen = await nginx.observe()

    assert seen.running == number
    assert seen.current is not None
    assert seen.current.proven
    assert (seen.ours, seen.pid, seen.reloaded_at) == (False, None, None)
    assert await his.home.fingerprint(WIKI) == his.home.held[WIKI].fingerprint
    assert (await his.home.get(WIKI)).status == 502
    assert (await his.home.get(WIKI, tls=False)).headers["location"].startswith(f"https://{WIKI}")
    assert (await his.home.get("x", port=port, tls=False)).body == b"his own"
    assert (his.folder / "nginx.conf").read_text() == before


async def test_a_renewal_is_a_tree_of_its_own(his: Others) -> None:
    """
    The new certificate is shown, the old tree stays on disk, and a reload that he orders changes nothing.
    """
    nginx = his.external()
    first = await served(his, nginx, WIKI)
    renewed = his.home.certify(WIKI)
    second = await nginx.apply(his.render())

    assert second > first
    # A worker that ends accepts for a moment after the new ones do.
    await until(lambda: _shows(his, WIKI, his.home.settings.https_port, renewed.fingerprint))
    await his.type("-s", "reload")
    assert (await nginx.observe()).running == second
    assert (await nginx.observe()).reloaded_at is not None
    await his.stop()
    await his.start()
    await until(lambda: _runs(nginx, second))


async def test_a_worker_that_leaves_is_not_believed(his: Others) -> None:
    """
    Old workers answer for a moment beside the new ones: no look in that moment says that the tree before is served.
    """
    nginx = his.external()
    await served(his, nginx, WIKI)
    second = await served(his, nginx, WIKI, CLOUD)
    told = {(await nginx.observe()).running for _ in range(50)}

    assert told == {second}


async def _runs(nginx: External, number: int | None) -> bool:
    return (await nginx.observe()).running == number


async def test_a_refused_tree_leaves_the_one_before(his: Others) -> None:
    """
    The guilty site is named; the next tree is served.
    """
    nginx = his.external()
    first = await served(his, nginx, WIKI)
    with pytest.raises(NginxRefused) as refused:
        await nginx.apply(tree(his, WIKI, CLOUD, spoiled=CLOUD))
    seen = await nginx.observe()

    assert refused.value.guilty == {CLOUD}
    assert seen.running == first
    assert [each.number for each in seen.generations] == [first]
    assert await served(his, nginx, WIKI, CLOUD) > first


async def test_a_mistake_of_his_own_is_told_and_harms_nobody(his: Others) -> None:
    """
    Nothing is loaded then, of ours neither: the text names his file, and nobody of ours is blamed. Mended, it goes on.
    """
    nginx = his.external()
    first = await served(his, nginx, WIKI)
    his.write("nonsense on;")
    with pytest.raises(NginxRefused) as refused:
        await served(his, nginx, WIKI, CLOUD)

    assert refused.value.guilty == frozenset()
    assert str(his.folder / "nginx.conf") in str(refused.value)
    assert (await nginx.observe()).running == first
    his.write("")
    assert await served(his, nginx, WIKI, CLOUD) > first


async def test_a_name_that_he_serves_himself_stays_his(his: Others) -> None:
    """
    Nginx only warns of it, and serves who comes first. Ours is left out, and everybody else is served.
    """
    port = his.home.settings.http_port
    his.write(f'server {{ listen {port}; server_name {WIKI}; location / {{ return 200 "his own"; }} }}')
    await his.type("-s", "reload")
    nginx = his.external()
    with pytest.raises(NginxRefused) as refused:
        await served(his, nginx, WIKI, CLOUD)

    assert refused.value.guilty == {WIKI}
    assert f'conflicting server name "{WIKI}"' in str(refused.value)
    rendered = his.render()
    kept_back = Quarantine(site=WIKI, digest=rendered.fresh[WIKI], error=str(refused.value), since=NOW, retry_at=NOW)
    his.home.quarantines = {WIKI: kept_back}
    await nginx.apply(his.render())

    assert (await his.home.get(WIKI, tls=False)).body == b"his own"
    assert await his.home.fingerprint(CLOUD) == his.home.held[CLOUD].fingerprint


async def test_an_nginx_that_is_down_is_told_of_and_taken_up_when_it_is_back(his: Others) -> None:
    """
    What was current stays so; the staged tree is gone.
    """
    nginx = his.external()
    first = await served(his, nginx, WIKI)
    await his.stop()
    seen = await nginx.observe()

    assert seen.running is None
    assert seen.current is not None
    assert seen.current.number == first
    with pytest.raises((NginxRefused, NginxMissing)):
        await served(his, nginx, WIKI, CLOUD)
    seen = await nginx.observe()
    assert seen.current is not None
    assert seen.current.number == first
    await his.start()
    assert await served(his, nginx, WIKI, CLOUD) > first


async def test_exited_returns_when_it_goes(his: Others) -> None:
    """
    And not before.
    """
    nginx = his.external()
    await served(his, nginx, WIKI)
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(nginx.exited())
        for _ in range(20):
            await nginx.observe()
        assert not watching.done()
        await his.stop()
    assert (await nginx.observe()).running is None


async def test_strangers_are_whose_they_were(his: Others) -> None:
    """
    Where he listens, he answers those who ask for no site; where only ours listen, they are refused.
    """
    port = his.home.settings.http_port
    nginx = his.external()
    await served(his, nginx, WIKI)
    assert (await his.home.get("stranger.example", tls=False)).status == 0
    his.write(f'server {{ listen {port} default_server; return 200 "his own"; }}  # listen 1;')
    await his.stop()
    (his.home.state / "nginx" / "current").unlink()
    await his.start()
    nginx = his.external()
    if his.way == "mailbox":
        async with his.script():
            await served(his, nginx, WIKI)
    else:
        await served(his, nginx, WIKI)
    assert (await his.home.get("stranger.example", tls=False)).body == b"his own"
    with pytest.raises(ssl.SSLError):
        await his.home.connect(his.home.settings.https_port, "stranger.example")


async def test_blocks_written_by_hand_show_what_is_held(his: Others) -> None:
    """
    `tls/NAME.conf` is all that a block needs for TLS, also after a renewal; `acme-challenge.conf` shows tokens.
    """
    plain, tls = his.home.spare[:2]
    home = his.home
    spec = CertificateSpec(name=CLOUD, names=(Name(CLOUD),), issuer=AcmeIssuer(ca="test"))
    home.certify(CLOUD)
    home.certificates = {CLOUD: spec}
    nginx = his.external()
    await served(his, nginx, WIKI)
    current = home.state / "nginx" / "current"
    his.write(
        f"server {{ listen {tls} ssl; server_name {CLOUD}; include {current}/tls/{CLOUD}.conf; return 200 mine; }}\n"
        f"server {{ listen {plain}; include {current}/{CHALLENGE}; location / {{ return 404; }} }}"
    )
    await his.type("-s", "reload")
    (home.webroot / ".well-known/acme-challenge/token").write_text("answer")

    await until(lambda: _shows(his, CLOUD, tls, home.held[CLOUD].fingerprint))
    answer = await home.get("any", "/.well-known/acme-challenge/token", port=plain, tls=False)
    assert answer.body == b"answer"
    renewed = home.certify(CLOUD)
    await nginx.apply(his.render())
    await until(lambda: _shows(his, CLOUD, tls, renewed.fingerprint))


async def _shows(his: Others, host: str, port: int, fingerprint: str) -> bool:
    try:
        return await his.home.fingerprint(host, port=port) == fingerprint
    except OSError:
        return False


async def test_without_the_include_line_it_says_so(his: Others) -> None:
    """
    Nginx takes everything, and serves nothing of it: the first thing that goes wrong for people.
    """
    text = (his.folder / "nginx.conf").read_text()
    (his.folder / "nginx.conf").write_text(
        "\n".join(line for line in text.splitlines() if "current/http" not in line)
        .replace("http {", f"http {{ server {{ listen {his.home.settings.http_port}; }}")
    )  # fmt: skip
    await his.type("-s", "reload")
    nginx = his.external()
    rendered = tree(his, WIKI)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatelodge.nginx.witness._SECONDS", 1)
        with pytest.raises(NginxUnproven, match=r"include .*/current/http.con\[f\];"):
            await nginx.apply(rendered)
    assert (await nginx.observe()).current is None


async def test_an_upgraded_nginx_is_asked_anew(mailbox: Others) -> None:
    """
    Its next start tells of itself; trees are written for it then.
    """
    nginx = mailbox.external()
    await served(mailbox, nginx, WIKI)
    before = (await nginx.observe()).version
    await mailbox.stop()
    mailbox.program = WHEEL
    mailbox.write()
    await mailbox.start()
    async with mailbox.script():
        await until(lambda: _newer(nginx, before))
        await served(mailbox, nginx, WIKI, CLOUD)
    assert "http2 on" in mailbox.render().sites[WIKI]


async def _newer(nginx: External, before: tuple[int, int, int] | None) -> bool:
    now = (await nginx.observe()).version
    return now is not None and before is not None and now > before


async def test_a_mailbox_that_nobody_empties_is_told_of() -> None:
    """
    At first nobody told what nginx there is; later nobody answers. Nothing is current, and no request is left.
    """
    async with others(DEBIAN, "mailbox") as his:
        nginx = his.external(seconds=0.5)
        rendered = tree(his, WIKI)
        await his.stop_script()
        with pytest.raises(NginxAway, match=r"did not answer within 0.5 s"):
            await nginx.apply(rendered)
        assert not (his.home.state / "nginx/mailbox/request").exists()
        assert (await nginx.observe()).current is None
        (his.home.state / "nginx/mailbox/about").unlink()
        seen = await his.external().observe()
        assert (seen.capabilities, "docs/external.md" in str(seen.missing)) == (None, True)


async def test_another_path_for_the_same_folder_is_refused(mailbox: Others) -> None:
    """
    Trees name absolute paths: in a container that has the state directory elsewhere, nothing of them would be found.
    """
    nginx = mailbox.external()
    rendered = tree(mailbox, WIKI)
    nginx._reloading._letters._state_directory = "/elsewhere"  # type: ignore[attr-defined]
    with pytest.raises(NginxAway, match="mount it at the same path in both places"):
        await nginx.apply(rendered)


async def test_a_change_that_was_cut_short_is_taken_back_at_the_scripts_next_start(mailbox: Others) -> None:
    """
    The link was moved, and nobody knows whether nginx takes that tree.
    """
    nginx = mailbox.external()
    first = await served(mailbox, nginx, WIKI)
    folder = mailbox.home.state / "nginx"
    second = nginx._trees.stage(tree(mailbox, WIKI, CLOUD), now=NOW)
    await mailbox.stop_script()
    (folder / "mailbox" / "undo").write_text(f"{first}\n")
    (folder / "current").unlink()
    (folder / "current").symlink_to(f"generations/{second}")
    async with mailbox.script():
        assert _current(folder) == first
        assert not (folder / "mailbox" / "undo").exists()


@pytest.mark.parametrize(
    "request_text",
    ["", "nonce x\ntree 1\n", "nonce 00\ntree ../../../etc\nstate {state}\n", "nonce 00\ntree 99\nstate {state}\n",
     "nonce 00\ntree 1; reboot\nstate {state}\n", "\x00\xff" * 100],
)  # fmt: skip
async def test_a_request_that_makes_no_sense_changes_nothing(mailbox: Others, request_text: str) -> None:
    """
    Only a tree that is there can be asked for, by its number.
    """
    nginx = mailbox.external()
    first = await served(mailbox, nginx, WIKI)
    folder = mailbox.home.state / "nginx"
    (folder / "mailbox" / "request").write_text(request_text.format(state=mailbox.home.state))
    second = await _after(mailbox, nginx)
    assert second > first
    assert _current(folder) == second


def _current(folder: Path) -> int:
    """
    Return the number of the tree that is current.
    """
    return int((folder / "current").readlink().name)


async def _after(his: Others, nginx: External) -> int:
    """
    Show that the script goes on.
    """
    return await served(his, nginx, WIKI, CLOUD)


async def test_names_are_looked_up_where_he_says_nothing_of_it(his: Others) -> None:
    """
    His http {} need not name a resolver, and what asks for a name in ours brings its own.
    """
    his.write()
    written = (his.folder / "nginx.conf").read_text()
    (his.folder / "nginx.conf").write_text(written.replace("    resolver 127.0.0.1;\n", ""))
    await his.type("-s", "reload")
    nginx = his.external()
    async with naming(wiki="127.0.0.1") as names, upstream.running() as up:
        his.home.resolver = (f"127.0.0.1:{names.port}",)
        his.home.add(WIKI, to=f"http://wiki:{up.port}")
        await nginx.apply(his.render())

        async def found() -> bool:
            return (await his.home.get(WIKI)).status == 200

        await until(found)
