"""
Options that many verbs share, and the configuration they are about. Light: every verb imports this, and TAB too.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gatelodge.api.client import Door
    from gatelodge.config.shape import Config
    from gatelodge.model import Mistake

_F = TypeVar("_F", bound="Callable[..., Any]")

DEFAULT_CONFIG = "/etc/gatelodge/gatelodge.toml"

#: As in `config.shape`, which is not imported for two words.
STATE_DIRECTORY = "/var/lib/gatelodge"
ADMIN_SOCKET = "/run/gatelodge/admin.sock"

#: Ten thousand sites take a tenth of it. Bytes.
_LARGEST = 16 << 20

#: The admin socket in the state directory, beside the one that the configuration names.
FALLBACK_SOCKET = "admin.sock"


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
        type=click.Path(readable=False),
        expose_value=False,
        callback=_remember,
        help=f"The configuration (else $GATELODGE_CONFIG, else {DEFAULT_CONFIG}).",
    )(command)


def json_option(command: _F) -> _F:
    """
    Give a command `--json`.
    """
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def quiet_option(command: _F) -> _F:
    """
    Give a command `--quiet`.
    """
    return click.option("-q", "--quiet", is_flag=True, help="Do not show on stderr what is being done.")(command)


def examples(*lines: str) -> str:
    """
    Return the end of a verb's help: lines to type, as they stand.
    """
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def names(kind: str) -> Callable[[click.Context, click.Parameter, str], Any]:
    """
    Return what completes names of a kind at TAB: `part`, `certificate`, `held`, `unused`, `preset` or `ca`.
    """

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        from gatelodge.cli import completion

        return completion.complete(kind, ctx, incomplete)

    return complete


def config_file() -> Path:
    """
    Return the configuration file that this call is about.
    """
    given = click.get_current_context().ensure_object(dict).get("config")
    return Path(given or os.environ.get("GATELODGE_CONFIG") or DEFAULT_CONFIG)


def load(file: Path) -> Config:
    """
    Read a configuration file.

    Raises:
        ConfigError: it cannot be read, or is wrong.
    """
    import dataclasses

    from gatelodge.config.read import read
    from gatelodge.errors import ConfigError
    from gatelodge.model import Mistake
    from gatelodge.offers import CATALOG

    try:
        text = _content(file).decode()
    except OSError as error:
        mistake = Mistake(
            path="",
            problem=f"the file cannot be read: {error.strerror}",
            remedy="name another with -c FILE, or write one; config.example.toml is a beginning",
        )
        raise ConfigError((mistake,), file=str(file)) from error
    except UnicodeDecodeError as error:
        mistake = Mistake(
            path="", problem=f"the file is not UTF-8 (byte {error.start})", remedy="save it as UTF-8 text"
        )
        raise ConfigError((mistake,), file=str(file)) from error
    config = read(text, str(file), CATALOG)
    return dataclasses.replace(config, warnings=(*config.warnings, *_open_secrets(config, file)))


def _open_secrets(config: Config, file: Path) -> Iterator[Mistake]:
    """
    Warn of secrets in a file that others may read. Its group is meant to: that is how a daemon without root gets to read it.
    """
    from gatelodge.model import Mistake

    if not file.stat().st_mode & stat.S_IROTH:
        return
    for key in config.exposed:
        yield Mistake(
            path=key,
            problem=f"a secret stands here, and everybody on this machine may read {file}",
            remedy=f"chmod o-r {file}, or write {{ file = … }} or {{ env = … }} in place of the secret",
            warning=True,
        )


def _content(file: Path) -> bytes:
    if file.exists() and not file.is_file():
        raise OSError(errno.EINVAL, "it is no regular file")  # a pipe would be waited for
    if file.stat().st_size > _LARGEST:
        raise OSError(errno.EFBIG, f"it is larger than {_LARGEST >> 20} MiB, which no configuration is")
    return file.read_bytes()


def table_of(file: Path) -> dict[str, Any]:
    """
    Return a configuration file as TOML has it, for what must be quick and only looks for a name in it: nothing is checked.

    Raises:
        OSError, ValueError: it cannot be read, or is not TOML.
    """
    import tomllib

    return tomllib.loads(_content(file).decode("utf-8-sig"))


def guessed_door(file: Path) -> Door | None:
    """
    Return where the daemon of a configuration file may be asked, without reading all of the file; None when that cannot be told. A
    daemon goes on with what it read last, so it may be asked how things stand although the file is wrong.
    """
    from gatelodge.api.client import Door

    try:
        table = table_of(file)
    except (OSError, ValueError, RecursionError):
        return None
    admin = table.get("admin", {})
    state = table.get("state_directory", STATE_DIRECTORY)
    path = admin.get("socket", ADMIN_SOCKET) if isinstance(admin, dict) else None
    if not isinstance(state, str) or not isinstance(path, str):
        return None
    return Door(state_directory=state, paths=(path, f"{state}/{FALLBACK_SOCKET}"))


def door(config: Config) -> Door:
    """
    Return where the daemon of a configuration may be asked: at its socket, or at the one in the state directory, which is there
    too and stays when the configuration names another.
    """
    from gatelodge.api.client import Door

    return Door(
        state_directory=config.state_directory,
        paths=(config.admin_socket, f"{config.state_directory}/{FALLBACK_SOCKET}"),
    )
