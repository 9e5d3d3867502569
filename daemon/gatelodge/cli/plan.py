"""
`plan`: what would be done, what follows from it and why, and how the nginx files change. It changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gatelodge.cli import times
from gatelodge.cli.layout import printable, readable
from gatelodge.cli.options import config_file, config_option, examples, json_option, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gatelodge.config.shape import Config
    from gatelodge.runtime.look import Look

#: How lines of a unified diff look, by what they begin with; the first that fits counts.
_STYLES = (
    ("--- ", {"bold": True}),
    ("+++ ", {"bold": True}),
    ("@@", {"fg": "cyan"}),
    ("+", {"fg": "green"}),
    ("-", {"fg": "red"}),
)


@click.command(epilog=examples("gatelodge plan", "gatelodge plan --no-diff"))
@config_option
@json_option
@click.option("--diff/--no-diff", default=True, help="With the changes of the nginx files, or without. Default: with.")
def plan(*, as_json: bool, diff: bool) -> None:
    """
    Print what would be done and why, with the changes of the nginx files. Changes nothing.
    """
    import asyncio

    from gatelodge import wiring
    from gatelodge.core.actions import describe
    from gatelodge.runtime.standing.changes import diff as unified
    from gatelodge.runtime.standing.changes import planned
    from gatelodge.runtime.system import SystemClock

    config = load(config_file())
    found = asyncio.run(look(config))
    changes = list(unified(wiring.current_sites(config), found)) if diff and found.rendered is not None else []
    if as_json:
        from gatelodge.cli.tables import dump

        click.echo(dump(planned(found, changes)))
        return
    steps = tuple(describe(action) for action in found.plan.actions)
    now = SystemClock().now().isoformat()
    click.echo(
        "\n".join(text(steps, found.plan.follows, found.kept_back, look_at=found.plan.look_at.isoformat(), now=now))
    )
    if changes:
        click.echo()
        click.echo("".join(map(_coloured, changes)), nl=False)


def text(
    steps: tuple[str, ...], follows: tuple[str, ...], kept_back: Mapping[str, str], *, look_at: str, now: str
) -> Iterator[str]:
    """
    Yield a plan line by line: how much there is to do, what is done now, what follows, and what is kept back.
    """
    if steps:
        yield click.style(f"{len(steps)} step{'' if len(steps) == 1 else 's'} now:", bold=True)
    else:
        yield click.style(
            f"Nothing to do: next look {times.relative(look_at, now)} ({times.moment(look_at)}).", fg="green"
        )
    yield from (f"- {readable(step)}" for step in steps)
    yield from (f"- then: {readable(step)}" for step in follows)
    for part, why in kept_back.items():
        yield click.style(f"! {readable(part)} is kept back: {printable(why)}", fg="red")


async def look(config: Config) -> Look:
    """
    Look at everything without changing anything.
    """
    from gatelodge import wiring

    async with wiring.open_house(config, config_file(), read=load, looking=True) as house:
        return await house.reconciler.look()


def _coloured(line: str) -> str:
    words = line.rstrip("\n")
    style = next((style for sign, style in _STYLES if words.startswith(sign)), None)
    return (click.style(words, **style) if style else words) + "\n"
