"""
`completion`: the script by which a shell completes verbs, options and names at TAB; and the names.

A name is looked up in the configuration as it stands and in the state directory: nothing is checked, asked or told. Whatever is
wrong there, TAB offers less and says nothing.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatelodge.cli.options import DEFAULT_CONFIG, STATE_DIRECTORY, examples, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

#: The variable by which a shell's script asks (https://click.palletsprojects.com/en/stable/shell-completion/).
VARIABLE = "_GATELODGE_COMPLETE"

#: The CAs that are built in, by the names of `config.catalog`, which is not imported at TAB.
CAS = ("letsencrypt", "letsencrypt-staging", "zerossl", "google")


@click.command(
    epilog=examples(
        "gatelodge completion bash > /usr/local/share/bash-completion/completions/gatelodge",
        "gatelodge completion zsh > /usr/local/share/zsh/site-functions/_gatelodge",
        "gatelodge completion fish > ~/.config/fish/completions/gatelodge.fish",
        'eval "$(gatelodge completion bash)"    # for this shell alone',
    )
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """
    Print the script by which a shell completes verbs, options and names at TAB.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(found(click.get_current_context().find_root().command, {}, "gatelodge", VARIABLE).source())


def complete(kind: str, ctx: click.Context, incomplete: str) -> list[str]:
    """
    Return the names of a kind that begin with what was typed.
    """
    found: list[str] = []
    with contextlib.suppress(Exception):  # at TAB there is nobody to tell
        found = sorted(set(_KINDS[kind](_table(ctx))))
    return [name for name in found if name.startswith(incomplete)]


def _table(ctx: click.Context) -> dict[str, Any]:
    """
    Return the configuration that is being typed about; an empty one when it cannot be read.
    """
    given = next((each.obj["config"] for each in _up(ctx) if each.obj and "config" in each.obj), None)
    file = given or os.environ.get("GATELODGE_CONFIG") or DEFAULT_CONFIG
    with contextlib.suppress(OSError, ValueError):
        return table_of(Path(file).expanduser())
    return {}


def _up(ctx: click.Context | None) -> Iterator[click.Context]:
    while ctx is not None:
        yield ctx
        ctx = ctx.parent


def _asked_for(table: Mapping[str, Any]) -> Iterator[str]:
    """
    Yield the names of certificates that a configuration asks for, and the hosts that stand for them.
    """
    yield from table.get("certificates", {})
    yield from _hosts(table)


def _hosts(table: Mapping[str, Any]) -> Iterator[str]:
    for host, site in table.get("sites", {}).items():
        yield host
        if isinstance(site, dict):
            yield from _texts(site.get("hosts", ()))


def _texts(value: object) -> Iterator[str]:
    yield from (each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _held(table: Mapping[str, Any]) -> Iterator[str]:
    """
    Yield the names of certificates that are held.
    """
    folder = Path(table.get("state_directory", STATE_DIRECTORY)) / "certificates"
    with contextlib.suppress(OSError):
        yield from (
            each.name for each in folder.iterdir() if not each.name.startswith(".") and each.name != "gatelodge.invalid"
        )


def _all(table: Mapping[str, Any]) -> Iterator[str]:
    yield from _asked_for(table)
    yield from table.get("streams", {})
    yield from _held(table)


def _unused(table: Mapping[str, Any]) -> Iterator[str]:
    wanted = set(_asked_for(table))
    yield from (name for name in _held(table) if name not in wanted and name.replace("wildcard.", "*.") not in wanted)


def _presets(_: Mapping[str, Any]) -> Iterator[str]:
    import gatelodge

    folder = Path(gatelodge.__file__).parent / "presets"
    yield from (each.stem for each in folder.glob("*.toml"))


def _cas(table: Mapping[str, Any]) -> Iterator[str]:
    yield from CAS
    yield from table.get("acme", {}).get("cas", {})


#: What each kind of name is taken from.
_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Iterable[str]]] = {
    "part": _all,
    "certificate": _asked_for,
    "held": lambda table: (*_asked_for(table), *_held(table)),
    "unused": _unused,
    "preset": _presets,
    "ca": _cas,
}
