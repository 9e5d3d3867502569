"""
Texts that were made to leave their place, in every key that takes text: those that `check` accepts arrive as they were written. On
the oldest nginx at hand and on the newest.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.support import upstream
from tests.support.any_toml import HOSTILE, written
from tests.support.nginx_house import DEBIAN, WHEEL, house

from gatelodge.config.read import read
from gatelodge.core.desired import desired
from gatelodge.core.observed import Nginx as NginxObserved
from gatelodge.core.observed import Observed
from gatelodge.errors import ConfigError
from gatelodge.nginx.writing.render import render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.nginx_house import Answer, House

    from gatelodge.core.desired import Desired

pytestmark = pytest.mark.live

HASH = "$2b$04$abcdefghijklmnopqrstuuqYx0p7bJH1cUYYLwPXF0xKhJEM2vOoS"

#: How many of the texts must be accepted by each key, so that what is tried is not nothing.
LEAST = len(HOSTILE) // 2


def wanted(home: House, routes: dict[str, Any], realms: dict[str, str]) -> Desired:
    """
    Read a configuration with one site, which has these routes.

    Raises:
        ConfigError: `check` does not accept it.
    """
    auths = {name: {"provider": "basic", "realm": realm, "users": {"alice": HASH}} for name, realm in realms.items()}
    site = {"tls": "off", "routes": routes}
    lines = [
        f"state_directory = {written(str(home.state))}",
        f"nginx = {written({'binary': home.settings.binary, 'http_port': home.settings.http_port})}",
        f"auth = {written(auths)}",
        f"sites = {written({'a.example.com': site})}",
    ]
    return desired(read("\n".join(lines) + "\n"))


def laid(folder: Path, name: str, text: str) -> str:
    """
    Put a file into a folder, and return its path; nothing where there can be no such name.
    """
    with contextlib.suppress(OSError):
        file = folder / name.strip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        for each in (file, *file.parents):
            if each == folder.parent:
                break
            each.chmod(0o755)
    return f"{folder}/{name.strip('/')}"


def one_step(text: str) -> str:
    """
    Return a text as one step of a path, which nginx would resolve otherwise.
    """
    return text.replace("/", "|")


def routes(home: House, number: int, text: str, port: int) -> dict[str, dict[str, Any]]:
    """
    Return a route for each key that takes text, by the key; what is asked for is below its path.
    """
    up, folder = f"http://127.0.0.1:{port}", home.state / "public" / str(number)
    # No step of a real path is longer than 255 bytes.
    name = one_step(text)
    path = "/".join(name[start : start + 60] for start in range(0, len(name), 60))
    return {
        "headers": {f"/headers/{number}": {"upstream": up, "headers": {"X-Said": text}}},
        "request_headers": {f"/told/{number}": {"upstream": up, "request_headers": {"X-Told": text}}},
        "body": {f"/body/{number}": {"respond": {"body": text}}},
        "auth": {f"/auth/{number}": {"upstream": up, "auth": f"a{number}"}},
        "redirect_to": {f"/to/{number}": {"redirect_to": {"url": f"/{text}", "keep_path": False}}},
        "root": {f"/root/{number}/": {"static": laid(folder, f"{path}/file.txt", "found")[: -len("/file.txt")]}},
        "index": {f"/index/{number}/": {"static": {"root": str(folder), "index": [laid(folder, f"i{path}", "found")[len(str(folder)) + 1 :]]}}},
        "error_pages": {f"/page/{number}": {"respond": {"status": 410}, "error_pages": {"410": laid(folder, f"e{path}", "found")}}},
        "path": {f"/path/{number}/{text}": {"respond": {"body": "found"}}},
        "match": {f"^/match/{number}/{re.escape(name)}$": {"match": "regex", "respond": {"body": "found"}}},
    }  # fmt: skip


def asked(key: str, number: int, text: str) -> str:
    """
    Return what a visitor asks for to see one of these.
    """
    place = {"request_headers": "told", "redirect_to": "to", "error_pages": "page"}.get(key, key)
    beyond = {"root": "/file.txt", "index": "/", "path": f"/{text}", "match": f"/{one_step(text)}"}.get(key, "")
    return quote(f"/{place}/{number}{beyond}", safe="/")


def came(key: str, answer: Answer, up: upstream.Upstream) -> str:
    """
    Return the text that arrived, or that what was looked for by it was found.
    """
    match key:
        case "headers":
            return answer.headers["x-said"].encode("latin-1").decode()
        case "request_headers":
            return up.seen[-1].headers["x-told"].encode("latin-1").decode()
        case "auth":
            [realm] = re.findall(r'Basic realm="((?:[^"\\]|\\.)*)"', answer.headers["www-authenticate"])
            return re.sub(r"\\(.)", r"\1", realm).encode("latin-1").decode()
        case "redirect_to":
            return answer.headers["location"].encode("latin-1").decode()
        case _:
            return answer.body.decode()


@pytest.mark.parametrize("program", [DEBIAN, WHEEL], ids=["debian", "wheel"])
async def test_hostile_texts_arrive_as_they_were_written(program: str) -> None:
    """
    As headers of either side, realms, bodies, folders, pages, redirects, paths and regular expressions.
    """
    async with house(program) as home, upstream.running() as up:
        accepted: dict[tuple[str, int, str], dict[str, Any]] = {}
        for number, text in enumerate(HOSTILE):
            for key, table in routes(home, number, text, up.port).items():
                with contextlib.suppress(ConfigError):
                    wanted(home, table, {f"a{number}": text} if key == "auth" else {})
                    accepted[key, number, text] = table
        realms = {f"a{number}": text for key, number, text in accepted if key == "auth"}
        every = {path: route for table in accepted.values() for path, route in table.items()}
        home.settings = (config := wanted(home, every, realms)).nginx
        nginx = NginxObserved(capabilities=home.capabilities())
        tree = render(config, Observed(held=home.held, nginx=nginx))
        assert tree.unwritten == {}
        await home.managed().apply(tree)
        counted: dict[str, int] = {}
        for key, number, text in accepted:
            answer = await home.get("a.example.com", asked(key, number, text), tls=False)
            there = {
                "body": text,
                "headers": text.strip(" "),
                "request_headers": text.strip(" "),
                "auth": text if text != "off" else "off ",
            }
            looked_for = f"/{text}" if key == "redirect_to" else there.get(key, "found")
            assert (key, text, came(key, answer, up)) == (key, text, looked_for)
            counted[key] = counted.get(key, 0) + 1
        # A URL takes few of them, and says so.
        assert {key: count for key, count in counted.items() if count < LEAST and key != "redirect_to"} == {}
        assert counted["redirect_to"] > 0
