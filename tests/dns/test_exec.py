"""
The contract of docs/exec.md, seen with programs that keep to it and programs that do not.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import re
import signal
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.waiting import until

from gatelodge.dns.exec import Exec, make
from gatelodge.dns.providers import Parts
from gatelodge.errors import DnsError
from gatelodge.model import DnsSettings
from gatelodge.ports import Authority, TxtRecord

NAME = "_acme-challenge.example.org"
RECORD = TxtRecord(zone="example.org", name=NAME, value="-value with 'quotes' and $HOME")


class Names:
    """
    A resolver that knows one zone.
    """

    async def authority(self, name: str) -> Authority:
        assert name == NAME
        return Authority(zone="example.org", servers=frozenset())


class Shop:
    """
    A folder in which programs are written and leave notes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def provider(self, text: str, *, seconds: float = 20) -> Exec:
        """
        Return the provider for a shell script.
        """
        program = self.folder / "publish"
        program.write_text(f"#!/bin/sh\ncd '{self.folder}'\n{text}\n")
        program.chmod(0o755)
        return self.running(str(program), seconds=seconds)

    def running(self, *command: str, seconds: float = 20) -> Exec:
        """
        Return the provider for a command.
        """
        options = {"command": command, "timeout": dt.timedelta(seconds=seconds)}
        settings = DnsSettings(name="own", provider="exec", options=options, ttl=300)
        parts: Any = Parts(http=None, clock=None, resolver=Names())  # type: ignore[arg-type] # it uses no more
        return make(settings, parts)

    def note(self, name: str) -> str:
        """
        Return what a program wrote down; nothing when it did not yet.
        """
        path = self.folder / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """
    A folder of its own for each test.
    """
    return Shop(tmp_path)


async def failure(work: Any) -> str:
    """
    Return what is told of work that fails: on one line, about the name.
    """
    with pytest.raises(DnsError) as caught:
        await work
    assert caught.value.problem.type == "dnsProvider"
    detail = caught.value.problem.detail
    assert detail.startswith(f"{NAME}: the program of [dns.own], ")
    assert detail.isprintable()
    return detail


def gone(pid: str) -> bool:
    """
    Tell whether a process has ended, a zombie that nobody collects included.
    """
    try:
        state = Path(f"/proc/{int(pid)}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


async def test_a_program_gets_action_name_and_value_and_no_shell_sees_them(shop: Shop) -> None:
    """
    As arguments after its own, and in the environment; nothing on stdin; in the root directory.
    """
    program = shop.folder / "publish.py"
    program.write_text(
        "import json, os, sys\n"
        "mine = {name: value for name, value in os.environ.items() if name.startswith('GATELODGE_')}\n"
        f"file = open({str(shop.folder / 'called')!r}, 'w')\n"
        "json.dump([sys.argv[1:], mine, sys.stdin.read(), os.getcwd()], file)\n"
    )
    provider = shop.running(sys.executable, str(program), "--own")
    assert await provider.zone_of(NAME) == "example.org"
    assert await provider.name_servers("example.org") is None
    for action, known_as in (("add", None), ("remove", "record 7")):
        await (provider.add(RECORD) if action == "add" else provider.remove(RECORD, known_as))
        environment = {
            "GATELODGE_ACTION": action,
            "GATELODGE_ZONE": "example.org",
            "GATELODGE_NAME": NAME,
            "GATELODGE_VALUE": RECORD.value,
            "GATELODGE_TTL": "300",
            **({"GATELODGE_ID": known_as} if known_as else {}),
        }
        found = json.loads(shop.note("called"))
        assert found == [["--own", action, NAME, RECORD.value], environment, "", "/"]


async def test_the_daemons_secrets_stay_with_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Of the daemon's environment a program gets the way to programs and the language, and no more.
    """
    monkeypatch.setenv("ALIYUN_SECRET", "do not tell")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("PATH")
    await shop.provider("/usr/bin/env > told").add(RECORD)
    variables = dict(line.split("=", 1) for line in shop.note("told").splitlines())
    assert variables.keys() - {"PWD", "OLDPWD", "_", "SHLVL"} <= {
        "PATH", "HOME", "LANG", "LC_ALL", "TZ",
        "GATELODGE_ACTION", "GATELODGE_ZONE", "GATELODGE_NAME", "GATELODGE_VALUE", "GATELODGE_TTL",
    }  # fmt: skip
    assert variables["TZ"] == "UTC"
    assert "/usr/bin" in variables["PATH"]


@pytest.mark.parametrize(
    ("printed", "known_as"),
    [
        ("", None),
        (r"\n \n", None),
        (r"17\n", "17"),
        (r"looking…\nadded\nrecord 17\n\n", "record 17"),
        (r"\033[31mred\n", None),
        (r"a\000b\n", None),
        ("x" * 501, None),
        ("x" * 500, "x" * 500),
    ],
)
async def test_the_last_line_is_the_records_id(shop: Shop, printed: str, known_as: str | None) -> None:
    """
    What cannot be given back as it was is none: then name and value have to do.
    """
    assert await shop.provider(f"printf '{printed}'").add(RECORD) == known_as


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("exit 3", "ended with 3: it said nothing on stderr; run it by hand as docs/exec.md shows"),
        ("echo no such zone >&2; exit 1", "ended with 1: no such zone; run it by hand as docs/exec.md shows"),
        ("echo too many requests >&2; exit 75", "ended with 75: too many requests; it is tried again later"),
        ("kill -TERM $$", "was ended by signal 15: it said nothing on stderr; run it by hand as docs/exec.md shows"),
        ("echo on stdout; exit 1", "ended with 1: it said nothing on stderr; "),
    ],
)
async def test_how_a_program_ends_is_told(shop: Shop, text: str, told: str) -> None:
    """
    Any status but 0 is a failure, with what it said of it.
    """
    for work in (shop.provider(text).add(RECORD), shop.provider(text).remove(RECORD, "7")):
        assert told in await failure(work)


async def test_what_it_says_moves_no_terminal_and_fills_no_log(shop: Shop) -> None:
    """
    Control characters and bytes that are no text are replaced; of a long text the end is shown, where errors stand.
    """
    said = await failure(
        shop.provider(r"printf 'a\033]0;title\007b\rc\377\nd' >&2; exit 1").add(RECORD),
    )
    assert "ended with 1: a?]0;title?b c� d; " in said
    said = await failure(
        shop.provider("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done >&2; echo END >&2; exit 1").add(
            RECORD
        )
    )
    assert " line 19999 END; " in said
    assert len(said) < 800


async def test_a_program_that_prints_without_end_costs_no_memory(shop: Shop) -> None:
    """
    It is ended by its timeout; what it printed was thrown away meanwhile.
    """
    before = _megabytes()
    assert "did not end within 0.5 s" in await failure(shop.provider("exec yes", seconds=0.5).add(RECORD))
    assert _megabytes() - before < 50


def _megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/nowhere/publish", "cannot be run: No such file or directory; give its absolute path"),
        ("FOLDER", "cannot be run: Permission denied; "),
        ("FOLDER/plain", "cannot be run: Permission denied; give its absolute path, and make it executable"),
        ("FOLDER/garbage", "cannot be run: Exec format error; "),
        ("FOLDER/lost", "cannot be run: No such file or directory; "),
    ],
)
async def test_what_cannot_be_run_is_told(shop: Shop, command: str, told: str) -> None:
    """
    Not there, a folder, not executable, no program, an interpreter that is not there.
    """
    for name, text in (("plain", "#!/bin/sh\n"), ("garbage", "\0\1\2"), ("lost", "#!/nowhere/interpreter\n")):
        path = shop.folder / name
        path.write_text(text)
        path.chmod(stat.S_IRUSR if name == "plain" else 0o755)
    assert told in await failure(shop.running(command.replace("FOLDER", str(shop.folder))).add(RECORD))


async def test_a_program_that_hangs_is_killed_with_all_that_it_started(shop: Shop) -> None:
    """
    Also when it and its child do not listen to signals that ask.
    """
    provider = shop.provider(
        "trap '' TERM INT HUP; (trap '' TERM INT HUP; echo $$ > main; sleep 1000 & echo $! > child; wait) & wait",
        seconds=0.5,
    )
    said = await failure(provider.add(RECORD))
    assert "did not end within 0.5 s and was killed; find out what it waits for, or raise `timeout`" in said
    for name in ("main", "child"):
        await until(lambda name=name: gone(shop.note(name)))


async def test_what_a_program_leaves_running_keeps_nobody_waiting(shop: Shop) -> None:
    """
    It has done its work when it ends, though a child still holds its output; and the child is ended.
    """
    provider = shop.provider("sleep 1000 & echo $! > child; echo 17", seconds=20)
    async with asyncio.timeout(5):
        assert await provider.add(RECORD) == "17"
    await until(lambda: gone(shop.note("child")))


async def test_a_child_that_left_the_group_keeps_nobody_waiting(shop: Shop) -> None:
    """
    It cannot be ended, and is not waited for, not after a timeout either.
    """
    text = "setsid sh -c 'echo $$ > child; exec sleep 1000' & while [ ! -s child ]; do :; done; "
    try:
        async with asyncio.timeout(10):
            assert await shop.provider(f"{text} echo 17").add(RECORD) == "17"
            os.kill(int(shop.note("child")), signal.SIGKILL)
            (shop.folder / "child").unlink()
            assert "did not end within 1 s" in await failure(
                shop.provider(f"{text} exec sleep 1000", seconds=1).add(RECORD)
            )
    finally:
        os.kill(int(shop.note("child")), signal.SIGKILL)


async def test_a_cancelled_call_ends_the_program(shop: Shop) -> None:
    """
    Nothing goes on behind the daemon's back.
    """
    provider = shop.provider("echo $$ > main; exec sleep 1000")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(provider.add(RECORD))
        await until(lambda: shop.note("main").strip())
        task.cancel()
    assert gone(shop.note("main"))


async def test_no_more_than_four_run_at_once(shop: Shop) -> None:
    """
    A certificate of many names is no storm, and all of them have their turn.
    """
    provider = shop.provider('touch "running.$$"; ls running.* | wc -l >> counts; sleep 0.05; rm "running.$$"')
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(provider.add(TxtRecord(zone="example.org", name=NAME, value=f"{number}")))
    counts = [int(each) for each in shop.note("counts").split()]
    assert len(counts) == 10
    assert 2 <= max(counts) <= 4


async def test_the_example_of_the_documentation_is_a_good_program(shop: Shop) -> None:
    """
    The first script in docs/exec.md is valid sh, and calls nsupdate with what it was given.
    """
    text = (Path(__file__).parents[2] / "docs" / "exec.md").read_text(encoding="utf-8")
    script = re.findall(r"```sh\n(#!/bin/sh\n.*?)```", text, re.DOTALL)[0]
    nsupdate = shop.folder / "nsupdate"
    nsupdate.write_text(f"#!/bin/sh\ncat > '{shop.folder}/sent'\n")
    nsupdate.chmod(0o755)
    provider = shop.provider(f'PATH="{shop.folder}:$PATH"\n{script}')
    plain = TxtRecord(zone="example.org", name=NAME, value="abc-_123")
    await provider.add(plain)
    assert f'update add {NAME}. 300 TXT "abc-_123"' in shop.note("sent")
    await provider.remove(plain, None)
    assert f'update delete {NAME}. TXT "abc-_123"' in shop.note("sent")
    nsupdate.write_text("#!/bin/sh\necho 'timed out' >&2\nexit 1\n")
    assert "ended with 75: timed out; it is tried again later" in await failure(provider.add(plain))
