"""
The command line: arguments in, words and exit codes out.

Exit codes: 0 done, 1 failed, 2 configuration or usage, 3 no daemon where one is needed. A verb's module is imported when it is asked
for, and by it what it needs, so that every verb starts quickly.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, NamedTuple

import click

import gatelodge
from gatelodge.cli.options import config_option

if TYPE_CHECKING:
    from collections.abc import Mapping


class Verb(NamedTuple):
    """
    Where a verb is, and what it does in a few words: help lists verbs without importing them.
    """

    place: str
    short: str


#: The verbs, in the order in which a person meets them.
VERBS: Mapping[str, Verb] = {
    "run": Verb("run:run", "Be the daemon."),
    "once": Verb("run:once", "Do everything that is due, to the end, and exit: for cron."),
    "check": Verb("look:check", "Tell every mistake of the configuration, with its remedy."),
    "plan": Verb("plan:plan", "Show what would be done and why. Changes nothing."),
    "status": Verb("status:status", "Show how everything stands, and what needs you."),
    "events": Verb("events:events", "Show what happened."),
    "doctor": Verb("doctor:doctor", "Find out what is wrong: on this machine, in its network."),
    "ddns": Verb("ddns:ddns", "Show the public address, and the records kept on it."),
    "renew": Verb("ask:renew", "Renew a certificate now."),
    "revoke": Verb("ask:revoke", "Have a certificate revoked by its CA, and get another."),
    "account": Verb("account:account", "Show or change the account at a CA."),
    "forget": Verb("ask:forget", "Delete a certificate that is no longer asked for."),
    "reload": Verb("ask:reload", "Write, test and load nginx's configuration now."),
    "ca": Verb("ask:ca", "Export the local CA's root, to import on devices."),
    "notify": Verb("notify:notify", "Send a message to everybody of [[notify]], as a trial."),
    "presets": Verb("presets:presets", "List the apps whose needs are known."),
    "hash": Verb("passwords:hash_", "Print the hash of a password, for [auth.NAME] users."),
    "schema": Verb("look:schema", "Print the JSON Schema of the configuration, for editors."),
    "completion": Verb("completion:completion", "Print what makes a shell complete words at TAB."),
    "mailbox": Verb("mailbox:mailbox", "Print the script to run beside an nginx elsewhere."),
    "init": Verb("init:init", "Print a configuration for what certbot or SWAG has."),
    "demo": Verb("demo:demo", "Show the main job on this machine, with a test CA."),
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
        module, name = VERBS[cmd_name].place.split(":")
        found = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        if not isinstance(found, click.Command):
            raise TypeError(f"{VERBS[cmd_name].place} is no command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """
        Find the verb that was typed; one that there is not is told with the nearest there is.
        """
        if not ctx.resilient_parsing and args[0] not in VERBS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, n=1)
            ctx.fail(f"there is no verb {args[0]!r}" + (f"; did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """
        Write the list of verbs.
        """
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.short) for name, verb in VERBS.items()])


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@config_option
@click.version_option(gatelodge.__version__, prog_name="gatelodge")
def cli() -> None:
    """
    Gatelodge keeps the front gate of a server: certificates, nginx server blocks, reloads that nobody notices.

    Begin with `check`, `plan`, `run`; later, `status` says how everything stands and `doctor` what is wrong. `gatelodge VERB -h` explains a verb.
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
