"""
The command line: arguments in, words and exit codes out.

Exit codes: 0 done, 1 failed, 2 configuration or usage, 3 no daemon where one is needed. Heavy parts are imported by the verb
that needs them, so that the others start quickly.
"""

from __future__ import annotations

import os
import sys

import click

import gatelodge
from gatelodge.api.client import NotRunning
from gatelodge.cli import ask, look, run
from gatelodge.cli.account import account
from gatelodge.cli.ddns import ddns
from gatelodge.cli.demo import demo
from gatelodge.cli.init import init
from gatelodge.cli.mailbox import mailbox
from gatelodge.cli.options import config_option
from gatelodge.cli.passwords import hash_
from gatelodge.cli.presets import presets
from gatelodge.errors import ConfigError, GatelodgeError


class _Group(click.Group):
    """
    Lists verbs in the order in which a person meets them.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """
        Return the verbs as they were added.
        """
        del ctx
        return list(self.commands)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@config_option
@click.version_option(gatelodge.__version__, prog_name="gatelodge")
def cli() -> None:
    """
    Gatelodge keeps the front gate of a server: certificates, nginx server blocks, reloads that nobody notices.
    """


for verb in (
    run.run, run.once, look.check, look.plan, look.status, look.events, ddns,
    ask.renew, ask.revoke, account, ask.forget, ask.reload, ask.ca, presets, hash_, look.schema, mailbox, init, demo,
):  # fmt: skip
    cli.add_command(verb)


def main() -> None:
    """
    Run the command line and exit. A failure that has words of ours is told in them, without a traceback.
    """
    try:
        # https://no-color.org: whatever its value; otherwise click looks whether it is a terminal.
        cli.main(prog_name="gatelodge", standalone_mode=False, color=False if "NO_COLOR" in os.environ else None)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except BrokenPipeError:
        # Somebody downstream has seen enough (`| head`). Python would complain once more while closing stdout.
        sys.stderr.close()
        sys.exit(0)
    except GatelodgeError as error:
        click.echo(f"gatelodge: {error}", err=True)
        sys.exit(3 if isinstance(error, NotRunning) else 1)
    except OSError as error:
        # What is left: a place that this user may not read or write, a full disk behind stdout.
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"gatelodge: {where}{error.strerror or error}", err=True)
        sys.exit(1)
