"""
The image's entry point, run as a plain script with a program in place of the daemon and a folder in place of the state directory.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENTRYPOINT = ROOT / "docker" / "entrypoint"
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]

#: Says who it is and what it was told.
PROGRAM = """\
#!/bin/sh
echo "user $(id -u) group $(id -g) groups $(id -G) arguments $*"
sed -n 's/^CapAmb:[[:space:]]*/ambient /p; s/^NoNewPrivs:[[:space:]]*/no new privileges /p' /proc/self/status
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Container:
    """
    Where the script runs.
    """

    folder: Path
    shell: str

    @property
    def state(self) -> Path:
        """
        The state directory.
        """
        return self.folder / "state"

    def run(
        self, *arguments: str, user: int | None = None, before: tuple[str, ...] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """
        Run the script, as this user when one is given.
        """
        return subprocess.run(
            [*before, self.shell, str(self.folder / "entrypoint"), *arguments], capture_output=True, text=True, check=False, timeout=20,
            user=user, group=user, extra_groups=None if user is None else [], cwd="/",
            env={"PATH": os.environ["PATH"], "GATELODGE_STATE": str(self.state), "GATELODGE_PROGRAM": str(self.folder / "program"), **variables},
        )  # fmt: skip


@pytest.fixture(params=SHELLS)
def container(request: pytest.FixtureRequest) -> object:
    """
    A container whose files everybody may reach.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-test-") as name:
        folder = Path(name)
        for each in (folder, folder / "state"):
            each.mkdir(exist_ok=True)
            each.chmod(0o755)
        (folder / "program").write_text(PROGRAM)
        shutil.copyfile(ENTRYPOINT, folder / "entrypoint")  # a checkout may be somebody's own
        for each in (folder / "program", folder / "entrypoint"):
            each.chmod(0o755)
        yield Container(folder=folder, shell=request.param)


@as_root
def test_without_root_it_becomes_the_daemon(container: Container) -> None:
    """
    Whoever it is started as it stays, and says nothing.
    """
    done = container.run("check", "--json", user=4321)
    assert done.stdout.startswith("user 4321 group 4321 groups 4321 arguments check --json\n")
    assert (done.returncode, done.stderr) == (0, "")


@as_root
def test_another_user_asked_for_without_root_is_told(container: Container) -> None:
    """
    PUID cannot be had then; what to write is said in one line, and the daemon starts.
    """
    done = container.run("run", user=4321, PUID="1001")
    assert done.stdout.startswith("user 4321 ")
    assert done.stderr.count("\n") == 1
    assert 'user: "1001:1001"' in done.stderr
    assert container.run("run", user=4321, PUID="4321", PGID="4321").stderr == ""


@as_root
@pytest.mark.parametrize(
    ("variables", "user", "group"),
    [({}, 1000, 1000), ({"PUID": "1234"}, 1234, 1234), ({"PUID": "1234", "PGID": "100"}, 1234, 100)],
)
def test_started_as_root_it_becomes_the_user_asked_for(
    container: Container, variables: dict[str, str], user: int, group: int
) -> None:
    """
    With no group of root's, and with no way to new privileges.
    """
    done = container.run("run", **variables)
    assert done.stdout.startswith(f"user {user} group {group} groups {group} arguments run\n")
    assert "no new privileges 1" in done.stdout
    assert done.stderr == ""


@as_root
def test_state_is_given_to_that_user_and_nothing_else_is(container: Container) -> None:
    """
    Others' files become his; the group of his own stays, and a link is not followed.
    """
    outside, his, roots, link = (container.folder / "outside", *(container.state / each for each in "abc"))
    for each in (outside, his, roots):
        each.touch()
    os.chown(his, 1000, 33)
    link.symlink_to(outside)
    container.run("run")
    owners = {each.name: (each.lstat().st_uid, each.lstat().st_gid) for each in (container.state, his, roots, link)}
    assert owners == {"state": (1000, 1000), "a": (1000, 33), "b": (1000, 1000), "c": (1000, 1000)}
    assert outside.stat().st_uid == 0


@as_root
def test_what_cannot_be_given_is_told(container: Container) -> None:
    """
    Without the capability for it the daemon starts all the same, and says itself what it cannot write.
    """
    (container.state / "file").touch()
    done = container.run("run", before=("setpriv", "--bounding-set=-chown"))
    assert "cap_add: [CHOWN, DAC_OVERRIDE]" in done.stderr
    assert done.stdout.startswith("user 1000 ")


@as_root
@pytest.mark.parametrize(
    ("bounds", "ambient"), [("-all,+net_bind_service,+setuid,+setgid", "400"), ("-net_bind_service", "0")]
)
def test_the_right_to_low_ports_is_passed_on_if_there_is_one(container: Container, bounds: str, ambient: str) -> None:
    """
    So that ports 80 and 443 can be had where they are root's, as on the host's own network.
    """
    os.chown(container.state, 1000, 1000)
    done = container.run("run", before=("setpriv", f"--bounding-set={bounds}"))
    assert f"ambient {ambient.zfill(16)}" in done.stdout, done.stderr


@as_root
def test_root_is_had_by_asking_for_it(container: Container) -> None:
    """
    PUID=0 is root, and is told.
    """
    done = container.run("run", PUID="0")
    assert done.stdout.startswith("user 0 ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("value", ["me", "-1", "1 2", "1;id"])
def test_a_user_that_is_no_number_is_refused(container: Container, value: str) -> None:
    """
    With the exit code of a mistake in the configuration.
    """
    done = container.run("run", PUID=value)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is no number" in done.stderr


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("sh", "docker/packages"),
        ("bash", "scripts/image"),
        ("bash", "scripts/contained"),
        ("bash", "scripts/play-mailbox"),
    ],
)
def test_scripts_that_are_not_run_here_can_be_read(shell: str, script: str) -> None:
    """
    They are too heavy for the tests; at least the shell understands them, and so does shellcheck where it is installed.
    """
    commands = [[shell, "-n"], *([["shellcheck", "--severity=warning"]] if shutil.which("shellcheck") else [])]
    for command in commands:
        done = subprocess.run([*command, str(ROOT / script)], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
