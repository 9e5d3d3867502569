"""
A gate of thousands of sites: nginx makes room for all their names at once and has nothing to say about it.
"""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from tests.support.nginx_house import DEBIAN, WHEEL, House, RealClock, house

from gatelodge.model import Headers, Listener, Maintenance, Name, Pool, Route, Site, Upstream
from gatelodge.nginx.trial import Trial
from gatelodge.nginx.writing.prelude import STATUS_MODULE

pytestmark = pytest.mark.live

MANY = 3000


def sites(home: House) -> list[Site]:
    """
    Return sites of all kinds whose names are as long as names may be, or all of one length.
    """
    pool = Pool.of(Upstream(scheme="http", host="127.0.0.1", port=9))
    headers = Headers(request=tuple((f"X-{'y' * 40}-{number}", "z") for number in range(40)))
    made = []
    for number in range(MANY):
        label = f"site-{number:05}"
        first = f"{label}.{'x' * 60}.{'y' * 60}.{'z' * 60}.example.com" if number % 3 == 0 else f"{label}.example.com"
        hosts = (Name(first), *((Name(f"*.{first}"),) if number % 7 == 0 else ()))
        made.append(
            Site(
                hosts=hosts,
                listeners=(Listener(port=home.settings.http_port),),
                routes=(Route(path="/", action=pool, headers=headers if number == 0 else Headers()),),
                maintenance=Maintenance() if number % 2 else None,
            )
        )
    return made


async def test_thousands_of_names_find_room_at_once() -> None:
    """
    Without a warning of any kind: of hosts, wildcards, variables or headers. What is written for the older nginx the newer one reads.
    """
    async with house(DEBIAN) as home:
        home.sites = sites(home)
        found = home.capabilities()
        # The newer one here is built without that.
        found = dataclasses.replace(found, modules=found.modules - {STATUS_MODULE})
        tree = home.render(found)
        folder = home.state / "nginx" / "generations" / "1"
        (folder / "sites").mkdir(parents=True)
        (folder / "prelude.conf").write_text(tree.prelude)
        for name, text in tree.sites.items():
            (folder / "sites" / f"{name}.conf").write_text(text)
        trial = Trial(found=found, state=home.state, number=1, rendered=tree, settled={}, clock=RealClock())
        with trial._scratch() as scratch:
            entry = scratch / "nginx.conf"
            entry.write_text(trial._entry(scratch, frozenset(tree.sites)))
            words = ("-t", "-c", str(entry), "-p", f"{scratch}/", "-e", f"{scratch}/log/error.log")
            for program in (DEBIAN, WHEEL):
                test = await asyncio.create_subprocess_exec(program, *words, stderr=asyncio.subprocess.PIPE)
                said = (await test.communicate())[1].decode()
                assert [row for row in said.splitlines() if not row.endswith(("is ok", "is successful"))] == []
                assert test.returncode == 0
