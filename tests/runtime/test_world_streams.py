"""
Streams over days: kept back and let go again, and told of; sites notice nothing.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from rich.console import Console
from tests.nginx.streams import stream
from tests.nginx.test_stream import MODULES
from tests.world import DAY, MINUTE, World, inhabited

from gatelodge.api.wishes import Wishes
from gatelodge.cli import overview, terminal
from gatelodge.core.parts import STREAM_SNIPPET, called
from gatelodge.runtime.standing.report import healthy, report
from gatelodge.runtime.standing.summary import summary

if TYPE_CHECKING:
    from gatelodge.model import Stream

A = "a.example.com"


def use(world: World, *streams: Stream, snippet: str = "") -> None:
    """
    Give the daemon a configuration with these streams, and an nginx that has such.
    """
    world.nginx.capabilities = dataclasses.replace(
        world.nginx.capabilities, modules=world.nginx.capabilities.modules | MODULES
    )
    desired = world.gate.desired
    nginx = dataclasses.replace(desired.nginx, stream_snippet=snippet)
    desired = dataclasses.replace(desired, streams=streams, nginx=nginx)
    world.gate = dataclasses.replace(world.gate, desired=desired)
    world.reconciler.use(world.gate)


def shown(world: World) -> dict[str, dict[str, object]]:
    """
    Return what the report says of each stream.
    """
    assert world.reconciler.latest is not None
    return {each["stream"]: each for each in report(world.reconciler.latest, world.clock.now())["streams"]}


async def test_a_refused_stream_is_kept_back_and_let_go() -> None:
    """
    At its last proven text where there is one, and told under its own name.
    """
    async with inhabited(A) as world:
        use(world, stream("db", port=5432), stream("mqtt"))
        await world.live(DAY)

        assert shown(world)["db"]["state"] == "passing"

        use(
            world,
            stream("db", port=5433, snippet="nonsense;\n"),
            stream("mqtt"),
            stream("new", port=1, snippet="nonsense;\n"),
        )
        await world.live(MINUTE)

        assert world.nginx.serving is not None
        assert "listen 5432;" in world.nginx.serving.streams["stream:db"]
        assert "Left out" in world.nginx.serving.streams["stream:new"]
        told = {event["stream"]: event for event in world.events.of("stream.quarantined")}
        assert told["db"]["serving"] == "its last good configuration"
        assert told["new"]["serving"] == "nothing"
        assert world.events.of("site.quarantined") == []
        assert {name: each["state"] for name, each in shown(world).items()} == {
            "db": "quarantined",
            "mqtt": "passing",
            "new": "quarantined",
        }
        assert shown(world)["db"]["retry_at"] is not None
        assert world.reconciler.latest is not None
        assert "nginx refused the stream db, the stream new" in summary(world.reconciler.latest, world.clock.now())
        assert "1 site, 3 streams" in summary(world.reconciler.latest, world.clock.now())
        answer = await world.grant(Wishes(world.reconciler, world.clock).reload(), within=MINUTE)
        assert "stream:db" in answer.message

        use(world, stream("db", port=5433), stream("mqtt"))
        await world.live(2 * DAY)

        assert "listen 5433;" in world.nginx.serving.streams["stream:db"]
        assert {event["stream"] for event in world.events.of("stream.released")} >= {"db"}
        assert world.reconciler.latest.observed.quarantines == {}
        assert healthy(report(world.reconciler.latest, world.clock.now()))


async def test_an_nginx_that_has_no_streams_is_told() -> None:
    """
    Once for each tree, with the remedy; and status says it as long as it is so.
    """
    async with inhabited(A) as world:
        use(world, stream("db", port=5432))
        world.nginx.capabilities = dataclasses.replace(world.nginx.capabilities, modules=frozenset())
        await world.live(DAY)

        assert world.reconciler.latest is not None
        document = report(world.reconciler.latest, world.clock.now())
        [event] = {event["error.detail"] for event in world.events.of("stream.quarantined")}
        assert "libnginx-mod-stream" in event
        assert document["streams"][0]["state"] == "quarantined"
        assert "! stream db: this nginx has no stream module" in terminal.text(
            overview.status(document, width=200), Console(width=200)
        )


async def test_the_users_own_text_is_told_by_its_key() -> None:
    """
    It is no stream, and stands among them while it is kept back.
    """
    async with inhabited(A) as world:
        use(world, stream("db", port=5432), snippet="nonsense;\n")
        await world.live(MINUTE)

        assert called(STREAM_SNIPPET) == ("stream", "nginx.stream_snippet")
        assert shown(world)["nginx.stream_snippet"]["state"] == "quarantined"
        assert world.events.of("stream.quarantined")[0]["stream"] == "nginx.stream_snippet"

        use(world, stream("db", port=5432), snippet="tcp_nodelay on;\n")
        await world.live(MINUTE)

        assert shown(world).keys() == {"db"}
