"""
`hash`: the hash of a password, as `[auth.NAME] users` holds it.
"""

from __future__ import annotations

import sys
import unicodedata

import click

#: nginx checks the password anew at every request, in the worker that serves others too: a page with thirty pictures costs thirty
#: checks. Each step up doubles one: 6 is 4 ms on a server of 2020 and some 15 ms on a Raspberry Pi. What a hash withstands when the
#: configuration leaks is for the password's length to say.
_COST = 6
_COSTS = click.IntRange(4, 14)

#: bcrypt looks at no more.
_MOST_BYTES = 72


@click.command("hash")
@click.option(
    "--cost", type=_COSTS, default=_COST, show_default=True, help="The work of one check, which each step doubles."
)
def hash_(*, cost: int) -> None:
    """
    Print the hash of a password, for [auth.NAME] users.

    It is asked for twice on a terminal, else it is the first line of what comes in.
    """
    import bcrypt

    password = _asked() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    made = bcrypt.hashpw(_checked(password), bcrypt.gensalt(cost)).decode()
    # The same under its other name, which crypt(3) of musl knows too, as in nginx's Alpine images.
    click.echo(made.replace("$2b$", "$2y$", 1))


def _asked() -> str:
    return str(click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True))


def _checked(password: str) -> bytes:
    """
    Return a password as nginx gets it from a browser.

    Raises:
        click.UsageError: no browser could send it, or a part of it would not count.
    """
    if not password:
        raise click.UsageError("there is no password: write it, or send it by stdin")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in password):
        raise click.UsageError("the password holds a control character, which no browser sends (RFC 7617 §2)")
    read = unicodedata.normalize("NFC", password).encode()  # RFC 7617 §2.1
    if len(read) > _MOST_BYTES:
        raise click.UsageError(f"the password is longer than {_MOST_BYTES} bytes, the most that bcrypt looks at")
    return read
