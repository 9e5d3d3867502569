"""
`account`: the accounts at the CAs. A running daemon asks the CA; without one this does it alone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gatelodge.cli.options import config_file, config_option, door, json_option, load, names
from gatelodge.cli.tables import dump

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gatelodge.config.shape import Config

_F = TypeVar("_F", bound="Callable[..., Any]")


def _ca_option(command: _F) -> _F:
    return click.option("--ca", metavar="NAME", shell_complete=names("ca"), help="Which CA. Default: the only one.")(
        command
    )


@click.group()
def account() -> None:
    """
    The ACME account at a CA.
    """


@account.command()
@config_option
@json_option
@_ca_option
def show(*, ca: str | None, as_json: bool) -> None:
    """
    Show what the CA has of the account.
    """
    _ask("show", ca, None, as_json=as_json)


@account.command()
@config_option
@json_option
@_ca_option
def register(*, ca: str | None, as_json: bool) -> None:
    """
    Make the account now, where there is none. The first certificate makes it too.
    """
    _ask("register", ca, None, as_json=as_json)


@account.command()
@config_option
@json_option
@_ca_option
@click.option("--email", metavar="ADDRESS", help="Whom the CA writes to. Default: acme.email.")
@click.option("--no-email", is_flag=True, help="The CA writes to nobody.")
def update(*, ca: str | None, email: str | None, no_email: bool, as_json: bool) -> None:
    """
    Change whom the CA writes to.
    """
    if email is not None and no_email:
        raise click.UsageError("--email and --no-email exclude one another")
    section = load(config_file()).acme
    given = None if no_email else email or (section.email if section else None)
    _ask("update", ca, given, as_json=as_json)


@account.command()
@config_option
@json_option
@_ca_option
def rollover(*, ca: str | None, as_json: bool) -> None:
    """
    Give the account a new key. Certificates and their keys stay.
    """
    _ask("rollover", ca, None, as_json=as_json)


@account.command()
@config_option
@json_option
@_ca_option
def deactivate(*, ca: str | None, as_json: bool) -> None:
    """
    Give the account up for good. Certificates stay good; the next one makes another account.
    """
    _ask("deactivate", ca, None, as_json=as_json)


def _ask(deed: str, ca: str | None, email: str | None, *, as_json: bool) -> None:
    import asyncio

    from gatelodge.api import client

    file = config_file()
    config = load(file)
    body = {"ca": ca, "email": email}
    document = client.call_or(
        lambda: asyncio.run(_alone(config, file, deed, ca, email)), door(config), f"/v1/account/{deed}", body
    )
    if as_json:
        click.echo(dump(document))
    else:
        click.echo(document.get("message") or document.get("error") or "no answer", err=not document.get("ok"))
    sys.exit(0 if document.get("ok") else 1)


async def _alone(config: Config, file: Path, deed: str, ca: str | None, email: str | None) -> dict[str, Any]:
    from gatelodge import wiring
    from gatelodge.api import accounts

    with wiring.claim(config, verb=f"account {deed}") as notes:
        async with wiring.open_house(config, file, read=load, notes=notes) as house:
            answer = await accounts.do(house.reconciler.gate, accounts.Deed(deed), name=ca, email=email)
            return {"ok": answer.ok, "message": answer.message, **answer.fields}
