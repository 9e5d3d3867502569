"""
Requests and their answers, with a program in nginx's place that says what it is told to say. What a real nginx makes of it is tried in
tests/live/test_nginx_helper.py.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.nginx.test_render import EXAMPLES
from tests.nginx.trees import STATE
from tests.support.rootside import lay, rendered, texts

from gatelodge.model import INTERNAL_HOST
from gatelodge.rootside.__main__ import main
from gatelodge.rootside.copies import Copies
from gatelodge.rootside.rules import Ground
from gatelodge.rootside.serve import Helper, Settings

if TYPE_CHECKING:
    from pathlib import Path

#: It says that all is well unless a file beside it says otherwise, and writes down what it was asked.
_NGINX = """\
#!/bin/sh
here=$(dirname "$0")
echo "$* $(readlink "$here/../keep/current")" >>"$here/asked"
case $1 in
  -V) echo "nginx version: nginx/1.22.1" >&2; exit ;;
  -T) if [ -e "$here/mine" ]; then sh "$here/mine"; fi
      if [ -e "$here/refuses" ]; then cat "$here/refuses" >&2; exit 1; fi
      echo "test is successful" >&2
      echo "# configuration file /etc/nginx/nginx.conf:"
      echo "server { listen 8080; auth_basic secret; }"
      echo "# configuration file $(readlink -f "$here/../keep")/current/http.conf:"
      echo "listen 443;" ;;
  -s) if [ -e "$here/absent" ]; then echo "nginx.pid: no such file" >&2; exit 1; fi ;;
esac
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """
    The folders of a helper, and what lies in them.
    """

    state: Path
    keep: Path
    run: Path
    bin: Path

    def settings(self) -> Settings:
        """
        Return what root said; the daemon's user is us.
        """
        return Settings(
            ground=Ground(state=str(self.state), webroot=f"{self.state}/webroot"),
            owner=os.geteuid(),
            group=os.getegid(),
            keep=str(self.keep),
            run=str(self.run),
            nginx=str(self.bin / "nginx"),
        )

    def once(self) -> None:
        """
        Run the helper.
        """
        Helper(self.settings()).once()

    def stage(self, number: int) -> None:
        """
        Put a tree into the state directory.
        """
        files = texts(rendered(*EXAMPLES["1.22.1"]), number)
        lay(self.state, {file: text.replace(STATE, str(self.state)) for file, text in files.items()}, number)

    @property
    def box(self) -> Path:
        return self.state / "nginx" / "mailbox"

    def ask(self, tree: object, nonce: str = "ab", state: object = None) -> None:
        """
        Write a request.
        """
        (self.box / "request").write_text(f"nonce {nonce}\ntree {tree}\nstate {state or self.state}\n")

    def answer(self) -> tuple[str, str]:
        """
        Return the result and what was said, of the last answer.
        """
        found = re.fullmatch(
            r"nonce [0-9a-f]+\nresult (\w+)\noutput\n(.*)\n", (self.run / "answer").read_text(), re.DOTALL
        )
        assert found
        return found[1], found[2]

    def asked(self, tree: object) -> tuple[str, str]:
        """
        Ask, run the helper, and return the answer.
        """
        self.ask(tree)
        self.once()
        return self.answer()

    @property
    def link(self) -> str:
        return str((self.keep / "current").readlink())

    def current(self) -> str:
        """
        Return the number of the tree whose copy is current, as the helper tells, and as the link says.
        """
        told = re.search(r"^current (\w+)$", (self.run / "about").read_text(), re.MULTILINE)
        number = self.link.split("/")[1].split("-")[0] if (self.keep / "current").is_symlink() else "none"
        assert told
        assert told[1] == number
        return number


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """
    A state directory with the trees 7 and 8, and nginx.
    """
    made = Place(*(tmp_path / each for each in ("state", "keep", "run", "bin")))
    for name, version in (("chat.example.com", 3), (INTERNAL_HOST, 1)):
        folder = made.state / "certificates" / name / "versions" / str(version)
        folder.mkdir(parents=True)
        (folder / "fullchain.pem").write_text("chain")
        (folder / "privkey.pem").write_text("key")
    made.stage(7)
    made.stage(8)
    made.box.mkdir()
    made.bin.mkdir()
    (made.bin / "nginx").write_text(_NGINX)
    (made.bin / "nginx").chmod(0o755)
    return made


def test_a_tree_is_copied_tested_and_loaded(place: Place) -> None:
    """
    Nginx reads the copy, which names no file of the daemon's but the webroot; keys in it are root's alone. The request is gone.
    """
    assert place.asked(7) == ("done", "test is successful")
    assert place.current() == "7"
    copy = (place.keep / "current").resolve()
    text = "".join(file.read_text() for file in copy.rglob("*.conf"))
    left = {row.strip() for row in text.split("\n") if str(place.state) in row}

    assert left == {f"root {place.state}/webroot; disable_symlinks on from={place.state.parent}; types {{ }}"}
    assert f"include {copy}/sites/chat.example.com.conf;" in (copy / "http.conf").read_text()
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in copy.rglob("*.*") if file.is_file()}
    assert (modes["http.conf"], modes["fullchain.pem"], modes["privkey.pem"]) == ("0o644", "0o644", "0o600")
    assert list(place.box.iterdir()) == []
    asked = (place.bin / "asked").read_text().splitlines()
    assert [row.split()[:-1] for row in asked] == [["-T"], ["-s", "reload"], ["-V"]]
    assert {row.split()[-1] for row in asked} == {place.link}


def test_what_is_told_of_nginx_is_where_others_listen_and_its_version(place: Place) -> None:
    """
    Also without a request, so that a machine that was just started is known. Nothing else of their configuration is told.
    """
    place.once()
    told = (place.run / "about").read_text()

    assert told.startswith(f"format 1\ninclude {place.keep}/current/http.con[f]\ncurrent none\n")
    assert "\nlisten 8080\n" in told
    assert "listen 443" not in told
    assert told.endswith("\nversion\nnginx version: nginx/1.22.1\n")
    assert "secret" not in told
    assert (place.run / "about").stat().st_mode & 0o777 == 0o644


def test_what_nginx_refuses_is_taken_back_and_told_in_the_daemons_words(place: Place) -> None:
    """
    The place that it names is the same line of the daemon's file. The copy is gone, the one before is current.
    """
    assert place.asked(7)[0] == "done"
    before = place.link
    (place.bin / "refuses").write_text("x")
    # It names the copy, whose name nobody knows before.
    (place.bin / "mine").write_text(
        f'at={place.keep}/$(readlink {place.keep}/current); echo "[emerg] no \\"$at/certificates/a/versions/1/privkey.pem\\" '
        f'in $at/sites/a.conf:3" >{place.bin}/refuses'
    )
    tree = f"{place.state}/nginx/generations/8"

    assert place.asked(8) == (
        "refused",
        f'[emerg] no "{place.state}/certificates/a/versions/1/privkey.pem" in {tree}/sites/a.conf:3',
    )
    assert (place.current(), place.link) == ("7", before)
    assert [each.name for each in (place.keep / "generations").iterdir()] == [before.split("/")[1]]


def test_an_nginx_that_is_not_there_is_told_apart(place: Place) -> None:
    """
    It took the tree, and nobody serves it: what was before stays.
    """
    (place.bin / "absent").touch()
    assert place.asked(7) == ("absent", "nginx.pid: no such file")
    assert place.current() == "none"


def test_a_program_that_is_none_is_told(place: Place) -> None:
    """
    A path that does not exist, one that may not be run.
    """
    (place.bin / "nginx").chmod(0o644)
    result, said = place.asked(7)
    assert (result, "Permission denied" in said) == ("failed", True)
    assert place.current() == "none"


def test_a_hostile_tree_never_comes_near_nginx(place: Place) -> None:
    """
    It is refused before anything is written, with file and line.
    """
    assert place.asked(7)[0] == "done"
    (place.bin / "asked").unlink()
    before = place.link
    site = place.state / "nginx/generations/8/sites/plain.example.com.conf"
    site.write_text(site.read_text() + "load_module /tmp/evil.so;\n")
    lines = site.read_text().count("\n")
    result, said = place.asked(8)

    assert result == "refused"
    assert (
        said
        == f"the helper refuses “load_module /tmp/evil.so”, which is none of Gatelodge's directives, in {site}:{lines}"
    )
    assert {row.split()[-1] for row in (place.bin / "asked").read_text().splitlines()} == {before}
    assert place.current() == "7"
    assert len(list((place.keep / "generations").iterdir())) == 1


def test_two_copies_are_kept_and_a_number_that_comes_again_is_another_copy(place: Place) -> None:
    """
    What nginx reads never changes under it: after a state directory came back from a backup, numbers come again.
    """
    assert place.asked(7)[0] == "done"
    first = place.link
    text = (place.keep / first / "prelude.conf").read_text()
    prelude = place.state / "nginx/generations/7/prelude.conf"
    prelude.write_text(prelude.read_text().replace("resolver_timeout 5s", "resolver_timeout 6s"))
    assert place.asked(7)[0] == "done"
    assert (place.keep / first / "prelude.conf").read_text() == text
    assert place.link != first
    for number in (8, 7, 8):
        assert place.asked(number)[0] == "done"
        assert place.current() == str(number)
    assert len(list((place.keep / "generations").iterdir())) == 2


def test_no_tree_at_all_can_be_asked_for(place: Place) -> None:
    """
    As when the first one was not proven.
    """
    assert place.asked(7)[0] == "done"
    assert place.asked("none")[0] == "done"
    assert place.current() == "none"


@pytest.mark.parametrize("before", ["none", "7"])
def test_a_change_that_was_cut_short_is_taken_back(place: Place, before: str) -> None:
    """
    The machine lost its power between the swap and the answer; the next run tells what is current.
    """
    assert before == "none" or place.asked(before)[0] == "done"
    copies = Copies(place.keep)
    with copies.held():
        copies.write("8-00000000", {"http.conf": b""})
        copies.begin("8-00000000")
    place.once()
    assert place.current() == before
    assert not (place.keep / "undo").exists()


def test_told_to_end_it_takes_the_change_back(place: Place) -> None:
    """
    Systemd ends it when it takes too long, and then starts nginx: what is current must have been tested.
    """
    owner = os.geteuid() or 1
    for folder, _, names in os.walk(place.state):
        for each in (folder, *(f"{folder}/{name}" for name in names)):
            os.chown(each, owner, -1)
    settings = place.settings()
    words = ["-m", "gatelodge.rootside", "--once", "--user", str(owner), "--state", str(place.state)]
    words += ["--keep", settings.keep, "--run", settings.run, "--nginx", settings.nginx]

    def asked(tree: int) -> int:
        place.ask(tree)
        os.chown(place.box / "request", owner, -1)
        return subprocess.run([sys.executable, *words], check=False, timeout=30).returncode

    assert asked(7) == 0
    before = place.link
    (place.bin / "mine").write_text(
        f'readlink {place.keep}/current >{place.bin}/tested; kill -TERM "$(cut -d " " -f 4 /proc/$PPID/stat)"'
    )
    assert asked(8) == 128 + signal.SIGTERM

    assert (place.bin / "tested").read_text().startswith("generations/8-")
    assert place.link == before
    assert not (place.keep / "undo").exists()


def test_what_runs_that_were_killed_left_is_deleted(place: Place) -> None:
    """
    All but the current copy and the newest two.
    """
    assert place.asked(7)[0] == "done"
    for number in (1, 2, 3):
        copy = place.keep / "generations" / f"8-0000000{number}"
        copy.mkdir()
        os.utime(copy, (number + 2**32, number + 2**32))
    place.once()

    left = {each.name for each in (place.keep / "generations").iterdir()}
    assert left == {place.link.partition("/")[2], "8-00000002", "8-00000003"}


@pytest.mark.parametrize("undo", ["", "../../../etc", "9-00000000", "7-zzzzzzzz", "none/.."])
def test_a_note_that_makes_no_sense_changes_nothing(place: Place, undo: str) -> None:
    """
    A disk that lost half of it.
    """
    assert place.asked(7)[0] == "done"
    (place.keep / "undo").write_text(undo)
    place.once()
    assert place.current() == "7"


@pytest.mark.parametrize(
    "request_text",
    [
        "", "nonce ab\n", "nonce xy\ntree 7\nstate {state}\n", "nonce \ntree 7\nstate {state}\n", "nonce ab\ntree 07\nstate {state}\n",
        "nonce ab\ntree 0\nstate {state}\n", "nonce ab\ntree -7\nstate {state}\n", "nonce ab\ntree ../7\nstate {state}\n",
        "nonce ab\ntree 9999999999999999999\nstate {state}\n", "nonce ab\ntree 7\nstate {state}\nmore\n", "tree 7\nnonce ab\nstate {state}\n",
        "nonce ab\r\ntree 7\r\nstate {state}\r\n", "nonce ab\ntree 7\nstate relative\n", "\x00" * 20, "nonce ab\ntree \u0667\nstate {state}\n",
        "nonce ab\ntree 7\nstate {state}\n" + "x" * 9000, "nonce " + "a" * 65 + "\ntree 7\nstate {state}\n",
    ],
)  # fmt: skip
def test_a_request_that_makes_no_sense_is_thrown_away(place: Place, request_text: str) -> None:
    """
    Without an answer, which would need its nonce. The next one is served.
    """
    (place.box / "request").write_text(request_text.format(state=place.state))
    place.once()
    assert not (place.run / "answer").exists()
    assert list(place.box.iterdir()) == []
    assert place.asked(7)[0] == "done"


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "others"])
def test_a_request_that_is_a_trap_is_not_waited_for(place: Place, kind: str) -> None:
    """
    Nor followed, nor read when it is somebody else's: a link to a request that would make sense counts for nothing.
    """
    request, aside = place.box / "request", place.state / "aside"
    if kind == "others" and os.geteuid() != 0:
        pytest.skip("only root can give files to others")
    place.ask(7)
    request.rename(aside)
    match kind:
        case "pipe":
            os.mkfifo(request)
        case "link":
            request.symlink_to(aside)
        case "folder":
            request.mkdir()
        case _:
            os.link(aside, request)
            os.chown(aside, 65534, 65534)
    place.once()
    assert not (place.run / "answer").exists()
    assert place.current() == "none"


def test_a_tree_that_is_not_there_or_lies_elsewhere_is_refused(place: Place) -> None:
    """
    The daemon speaks of another state directory, or of a number that nobody staged.
    """
    place.ask(7, state="/elsewhere")
    place.once()
    assert place.answer() == (
        "failed",
        f"the state directory is /elsewhere for the daemon and {place.state} for the helper (--state)",
    )
    result, said = place.asked(99)
    assert (result, said) == ("refused", f"the helper refuses {place.state}/nginx/generations/99: it is not there")


def test_a_request_that_comes_while_another_is_served_is_served_too(place: Place) -> None:
    """
    Systemd may miss it: the helper looks again before it ends.
    """
    (place.bin / "mine").write_text(
        f"if [ ! -e {place.bin}/did ]; then touch {place.bin}/did; "
        f'printf "nonce cd\\ntree 8\\nstate {place.state}\\n" >{place.box}/request; fi'
    )
    place.ask(7)
    place.once()
    assert (place.run / "answer").read_text().startswith("nonce cd\nresult done\n")
    assert place.current() == "8"


def test_answers_are_written_over_no_trap(place: Place) -> None:
    """
    Were there a link in the place of an answer, what it leads to stays as it is; others may read nothing that nginx said.
    """
    place.run.mkdir()
    secret = place.state / "aside"
    secret.write_text("mine")
    for name in ("answer", ".answer.new", "about", ".about.new"):
        (place.run / name).symlink_to(secret)
    assert place.asked(7)[0] == "done"
    assert secret.read_text() == "mine"
    assert not (place.run / "answer").is_symlink()
    assert (place.run / "answer").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("folder", ["run", "keep"])
@pytest.mark.parametrize("kind", ["open", "link", "file", "others"])
def test_a_folder_that_others_can_write_is_not_used(place: Place, folder: str, kind: str) -> None:
    """
    Neither for answers nor for what nginx is to read.
    """
    if kind == "others" and os.geteuid() != 0:
        pytest.skip("only root can give files to others")
    path: Path = getattr(place, folder)
    other = place.state / "other"
    other.mkdir()
    match kind:
        case "open":
            path.mkdir()
            path.chmod(0o777)
        case "link":
            path.symlink_to(other)
        case "file":
            path.touch()
        case _:
            path.mkdir()
            os.chown(path, 65534, 65534)
    place.ask(7)
    with pytest.raises(PermissionError, match="alone can write"):
        place.once()
    assert list(other.iterdir()) == []
    assert not (place.bin / "asked").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--user", "root"], "needs no helper"),
        (["--user", "0"], "needs no helper"),
        (["--user", "nobody-of-this-name"], "there is no such user"),
        (["--user", "nobody", "--state", "relative"], "write an absolute path"),
        (["--user", "nobody", "--state", "/a/../b"], "write an absolute path"),
        (["--user", "nobody", "--keep", "/a*"], "write an absolute path"),
        (["--user", "nobody", "--webroot", "/a;b"], "write an absolute path"),
        (["--user", "nobody", "--run", "/a/"], "write an absolute path"),
        (["--user", "nobody", "--access-log", "x"], "write off, or an absolute path"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_done(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Above all a daemon that is root: from it nothing protects.
    """
    assert main(["--once", *words]) == 2
    assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([])
    assert sys.exc_info() == (None, None, None)
