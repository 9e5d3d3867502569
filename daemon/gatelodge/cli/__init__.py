"""
The command line: arguments in, words and exit codes out.

Exit codes: 0 done, 1 failed, 2 configuration or usage, 3 no daemon where one is needed. A verb's module is imported when it is asked
for, and by it what it needs, so that every verb starts quickly.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import click

import gatelodge
from gatelodge.cli.options import config_option

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where each verb is, in the order in which a person meets them.
VERBS: Mapping[str, str] = {
    "run": "run:run",
    "once": "run:once",
    "check": "look:check",
    "plan": "plan:plan",
    "status": "status:status",
    "events": "events:events",
    "doctor": "doctor:doctor",
    "ddns": "ddns:ddns",
    "renew": "ask:renew",
    "revoke": "ask:revoke",
    "account": "account:account",
    "forget": "ask:forget",
    "reload": "ask:reload",
    "ca": "ask:ca",
    "notify": "notify:notify",
    "presets": "presets:presets",
    "hash": "passwords:hash_",
    "schema": "look:schema",
    "mailbox": "mailbox:mailbox",
    "init": "init:init",
    "demo": "demo:demo",
}


class _Group(click.Group):
    """
    Lists verbs in the order of `VERBS`, and imports the one that is asked for.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """
        Return the verbs in order.
        """
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """
        Return a verb; None when there is none of this name.
        """
        del ctx
        if cmd_name not in VERBS:
            return None
        module, name = VERBS[cmd_name].split(":")
        found = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        if not isinstance(found, click.Command):
            raise TypeError(f"{VERBS[cmd_name]} is no command")
        return found


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@config_option
@click.version_option(gatelodge.__version__, prog_name="gatelodge")
def cli() -> None:
    """
    Gatelodge keeps the front gate of a server: certificates, nginx server blocks, reloads that nobody notices.
    """


def main() -> None:
    """
    Run the command line and exit. A failure that has words of ours is told in them, without a traceback.
    """
    from gatelodge.cli import terminal

    try:
        cli.main(prog_name="gatelodge", standalone_mode=False, color=terminal.asked())
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # Somebody downstream has seen enough (`| head`). Python would complain once more while closing stdout.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if (code := _told(error)) is None:
            raise
        sys.exit(code)


def _told(error: Exception) -> int | None:
    """
    Tell what failed in its own words, and return the exit code for it; None when it has no words.
    """
    from gatelodge.errors import ConfigError, GatelodgeError

    if isinstance(error, ConfigError):
        click.echo(str(error), err=True)
        return 2
    if isinstance(error, GatelodgeError):
        from gatelodge.api.client import NotRunning

        click.echo(f"gatelodge: {error}", err=True)
        return 3 if isinstance(error, NotRunning) else 1
    if isinstance(error, OSError):
        # What is left: a place that this user may not read or write, a full disk behind stdout.
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"gatelodge: {where}{error.strerror or error}", err=True)
        return 1
    return None
