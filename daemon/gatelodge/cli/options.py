"""
Options that many verbs share, and where the configuration file is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_F = TypeVar("_F", bound="Callable[..., Any]")

DEFAULT_CONFIG = "/etc/gatelodge/gatelodge.toml"


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(dict)["config"] = value


def config_option(command: _F) -> _F:
    """
    Give a command `-c FILE`. It may stand before or after the verb.
    """
    return click.option(
        "-c",
        "--config",
        metavar="FILE",
        expose_value=False,
        callback=_remember,
        help=f"The configuration (else $GATELODGE_CONFIG, else {DEFAULT_CONFIG}).",
    )(command)


def json_option(command: _F) -> _F:
    """
    Give a command `--json`.
    """
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def config_file() -> Path:
    """
    Return the configuration file that this call is about.
    """
    given = click.get_current_context().ensure_object(dict).get("config")
    return Path(given or os.environ.get("GATELODGE_CONFIG") or DEFAULT_CONFIG)
