"""
What the pages tell people to type works: every command is typed, at a desk where a gate runs, and does what is said.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import click
import pytest
from tests.support import pages
from tests.support.desk import furnished
from tests.support.known_commands import HERE, KNOWN
from tests.support.pages import ROOT

from gatelodge.cli import cli

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.known_commands import Known

COMMANDS = pages.commands()


def test_every_command_is_known() -> None:
    """
    A command that a page shows is in the table, and the table has none that no page shows.
    """
    unknown = {command: where for command, where in COMMANDS.items() if command not in KNOWN}

    assert not unknown, "tests/support/known_commands.py does not say how these are tried"
    assert not KNOWN.keys() - COMMANDS.keys(), "no page shows these any more"


def _pages_with_commands() -> list[Path]:
    """
    Return the pages with something to type here; translations have the commands of the English page, as another test sees.
    """
    known = {command for command, how in KNOWN.items() if not how.elsewhere}
    found = {block.page for block in pages.blocks("sh") if known.intersection(_of(block))}
    return sorted(page for page in found if page.parent.name not in pages.LANGUAGES)


def _of(block: pages.Block) -> list[str]:
    return [] if block in pages.scripts() else block.commands


@pytest.mark.live
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", _pages_with_commands(), ids=lambda page: str(page.relative_to(ROOT)))
async def test_the_commands_of_a_page_work_one_after_the_other(page: Path) -> None:
    """
    They end as they should, and say what they should; those of one page in its order, at one desk.
    """
    typed = [(block.where, command) for block in pages.blocks("sh") if block.page == page for command in _of(block)]
    rows = [
        (where, command, KNOWN[command])
        for where, command in typed
        if command in KNOWN and not KNOWN[command].elsewhere
    ]
    async with furnished(gate=any(known.gate for _, _, known in rows)) as desk:
        for where, command, known in rows:
            code, said = await desk.run(command, known)

            assert known.goes_on or known.status in (code, None), (
                f"{where}: {command}\n{said}{desk.house.said() if known.gate else ''}"
            )
            assert re.search(known.says, said), f"{where}: {command}\n{said}"
            assert "Traceback" not in said, f"{where}: {command}\n{said}"
            if known.leaves:
                assert (desk.here / desk.typed(known.leaves)).stat().st_size, f"{where}: {command}"


@pytest.mark.parametrize(
    ("command", "known"), [(command, known) for command, known in KNOWN.items() if known.elsewhere], ids=str
)
def test_what_is_tried_elsewhere_is_tried_there(command: str, known: Known) -> None:
    """
    The test that is named is there; a script is one that sh can read, and can be run.
    """
    file, _, function = known.elsewhere.partition("::")

    assert (f"def {function}(" if function else command) in (ROOT / file).read_text(encoding="utf-8")

    script = ROOT / command.split(maxsplit=1)[0]
    if script.is_file():
        assert script.stat().st_mode & 0o111
        subprocess.run(["bash", "-n", script], check=True)
        options = [word for word in command.split()[1:] if word.startswith("--")]
        text = script.read_text(encoding="utf-8")
        assert all(option in text or "gatelodge demo" in text for option in options), command


def _inline_commands() -> list[tuple[str, str]]:
    found = {(page, code) for page, code in pages.inline_code() if re.match(r"gatelodge [a-z-]", code)}
    return sorted(found)


@pytest.mark.parametrize(("page", "code"), _inline_commands(), ids=str)
def test_a_command_within_a_sentence_is_one(page: str, code: str) -> None:
    """
    Its verb is there, and takes the options that it is shown with.
    """
    del page
    command: click.Command = cli
    words = re.split(r"[|>;&]", code)[0].split()[1:]
    while words and isinstance(command, click.Group):
        word = words.pop(0)
        if word.startswith("-"):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, code
        command = found
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"-c", "-h", "--help"}
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0].strip("[],") in known, code


@pytest.mark.parametrize("block", pages.scripts(), ids=lambda block: block.where)
def test_a_script_that_is_shown_can_be_read(block: pages.Block) -> None:
    """
    By a plain sh.
    """
    subprocess.run(["sh", "-n"], input=block.text, text=True, check=True)


@pytest.mark.parametrize(
    "script", sorted({code.split()[0] for _, code in pages.inline_code() if code.startswith("scripts/")})
)
def test_a_script_within_a_sentence_is_there(script: str) -> None:
    """
    And can be run.
    """
    assert shutil.which(str(ROOT / script))


@pytest.mark.parametrize(
    "command",
    [
        "systemctl start gatelogde", "systemctl strat gatelodge", "journalctl -u nothing", "docker compose -f other.yaml up -d",
        "docker build --build-arg BASIS=x .", "docker run --rm nginx", "pip install 'gatelodge[lexikon]'", "apt install pebbles",
        "docker run --rm --entrypoint cat gatelodge /usr/local/lib/gatelodge/other.toml",
    ],
)  # fmt: skip
async def test_a_stand_in_refuses_what_is_not_there(command: str) -> None:
    """
    Units, compose files, build arguments, extras, packages: a typing error in a page is found.
    """
    async with furnished(gate=False) as desk:
        code, said = await desk.run(command, HERE)

        assert code == 64, said
