"""
`renew`, `revoke`, `forget`, `reload` and `ca`: what people ask for. A running daemon does it; without one this works alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from gatelodge.cli.options import config_file, config_option, door, examples, json_option, load, names, quiet_option
from gatelodge.cli.tables import dump

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatelodge.api.wishes import Answer, Wishes
    from gatelodge.cli.progress import View
    from gatelodge.config.shape import Config
    from gatelodge.runtime.reconcile import Reconciler

    _Wish: TypeAlias = Callable[[Wishes], Awaitable[Answer]]
    _Refusal: TypeAlias = Callable[[Wishes], Awaitable[Answer | None]]

#: The reasons of `model.RevocationReason`, written out: they stand in the help, and reading it imports nothing.
REASONS = (
    "unspecified", "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation", "privilegeWithdrawn",
)  # fmt: skip


@click.command(epilog=examples("gatelodge renew wiki.example.com", "gatelodge renew wildcard.example.com --force"))
@config_option
@json_option
@quiet_option
@click.argument("name", shell_complete=names("certificate"))
@click.option("--force", is_flag=True, help="Renew although it is not due: this costs the CA's rate limits.")
def renew(*, name: str, force: bool, as_json: bool, quiet: bool) -> None:
    """
    Renew the certificate NAME (or the one that serves the host NAME) now.
    """

    async def wish(wishes: Wishes) -> Answer:
        return await wishes.renew(name, force=force)

    async def no(wishes: Wishes) -> Answer | None:
        return await wishes.cannot_renew(name)

    _ask("/v1/renew", {"certificate": name, "force": force}, wish, no, as_json=as_json, quiet=quiet)


@click.command(epilog=examples("gatelodge revoke wiki.example.com --reason keyCompromise"))
@config_option
@json_option
@quiet_option
@click.argument("name", shell_complete=names("held"))
@click.option(
    "--reason",
    type=click.Choice(REASONS),
    default=REASONS[0],
    show_default=True,
    help="Why, as CAs know it (RFC 5280 §5.3.1). keyCompromise: others may have the key.",
)
def revoke(*, name: str, reason: str, as_json: bool, quiet: bool) -> None:
    """
    Have the CA revoke the certificate NAME (or the one that serves the host NAME), and get another with a new key.
    """
    from gatelodge.model import RevocationReason

    async def wish(wishes: Wishes) -> Answer:
        return await wishes.revoke(name, RevocationReason(reason))

    async def no(wishes: Wishes) -> Answer | None:
        return await wishes.cannot_revoke(name)

    _ask("/v1/revoke", {"certificate": name, "reason": reason}, wish, no, as_json=as_json, quiet=quiet)


@click.command()
@config_option
@json_option
@quiet_option
@click.argument("name", shell_complete=names("unused"))
def forget(*, name: str, as_json: bool, quiet: bool) -> None:
    """
    Delete the certificate NAME, which the configuration no longer asks for.
    """

    async def wish(wishes: Wishes) -> Answer:
        return await wishes.forget(name)

    async def no(wishes: Wishes) -> Answer | None:
        return await wishes.cannot_forget(name)

    _ask("/v1/forget", {"certificate": name}, wish, no, as_json=as_json, quiet=quiet)


@click.command()
@config_option
@json_option
@quiet_option
def reload(*, as_json: bool, quiet: bool) -> None:
    """
    Write, test and load nginx's configuration now.
    """

    async def wish(wishes: Wishes) -> Answer:
        return await wishes.reload()

    _ask("/v1/reload", {}, wish, as_json=as_json, quiet=quiet)


def _ask(
    path: str, body: dict[str, object], wish: _Wish, refusal: _Refusal | None = None, *, as_json: bool, quiet: bool
) -> None:
    """
    Have a wish granted: by the daemon, or alone. Alone, what `refusal` says no to starts nothing.
    """
    import asyncio

    from gatelodge.api import client
    from gatelodge.cli import progress

    file = config_file()
    config = load(file)
    named = body.get("certificate")
    with progress.shown(door(config), only=named if isinstance(named, str) else None, quiet=quiet or as_json) as view:

        def alone() -> dict[str, Any]:
            answer = asyncio.run(_alone(config, file, path.rpartition("/")[2], wish, refusal, view=view))
            return {"ok": answer.ok, "message": answer.message, **answer.fields}

        document = client.call_or(alone, door(config), path, body)
    if as_json:
        click.echo(dump(document))
    else:
        click.echo(document.get("message") or document.get("error") or "no answer", err=not document.get("ok"))
    sys.exit(0 if document.get("ok") else 1)


async def _alone(
    config: Config, file: Path, verb: str, wish: _Wish, refusal: _Refusal | None, *, view: View | None
) -> Answer:
    from gatelodge import wiring
    from gatelodge.api.wishes import Wishes

    with wiring.claim(config, verb=verb) as notes:
        async with wiring.open_house(config, file, read=load, notes=notes) as house:
            if view is not None:
                view.follow(house.doing)
            if refusal is not None and (no := await refusal(Wishes(house.reconciler, house.clock))) is not None:
                return no

            async def granted(reconciler: Reconciler) -> Answer:
                return await wish(Wishes(reconciler, house.clock))

            return await house.grant(granted)


@click.group()
def ca() -> None:
    """
    The CA of this machine, for names of the LAN.
    """


@ca.command(epilog=examples("gatelodge ca export -o root.pem", "gatelodge ca export --der -o root.cer"))
@config_option
@click.option("--der", is_flag=True, help="DER, as Windows and Android like it, instead of PEM.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file.")
def export(*, der: bool, output: Path | None) -> None:
    """
    Print the local CA's root certificate, to import where its certificates should be trusted.
    """
    import asyncio

    from gatelodge import wiring

    content = asyncio.run(wiring.local_root(load(config_file()), der=der))
    if output is not None:
        output.write_bytes(content)
    else:
        sys.stdout.buffer.write(content)
