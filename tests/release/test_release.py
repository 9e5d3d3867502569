"""
A release is what was tested: the wheel holds all of the package, the sdist makes that wheel, and it works where nothing else is.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import gatelodge

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "daemon" / "gatelodge"

#: Two builds, and an environment with all that the package needs.
pytestmark = pytest.mark.timeout(300)


def run(*words: str | Path, **more: str) -> str:
    """
    Run a program without this checkout's PYTHONPATH, and return what it said.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more
    done = subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A folder with what `scripts/release` makes.
    """
    folder = tmp_path_factory.mktemp("release") / "dist"
    run(REPOSITORY / "scripts" / "release", "--draft", folder)
    return folder


def wheel(folder: Path) -> Path:
    """
    Return the one wheel in a folder.
    """
    (found,) = folder.glob("*.whl")
    return found


def contents(path: Path) -> dict[str, str]:
    """
    Return the digest of each file in a wheel.
    """
    with zipfile.ZipFile(path) as opened:
        return {name: hashlib.sha256(opened.read(name)).hexdigest() for name in opened.namelist()}


def test_the_wheel_holds_all_of_the_package(built: Path) -> None:
    """
    Modules, presets, the mailbox's script, pages: each file as it is here, and the type marker.
    """
    here = {
        f"gatelodge/{path.relative_to(PACKAGE).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    there = {name: digest for name, digest in contents(wheel(built)).items() if name.startswith("gatelodge/")}

    assert there == here
    assert {Path(name).suffix for name in there} >= {".py", ".toml", ".sh"}


def test_the_sdist_makes_the_same_wheel(built: Path, tmp_path: Path) -> None:
    """
    The wheel in the release was made of the sdist; one made of this checkout holds the same.
    """
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, REPOSITORY)

    assert contents(wheel(tmp_path)) == contents(wheel(built))


def test_from_the_sdist_it_can_be_installed_like_from_a_checkout(built: Path, tmp_path: Path) -> None:
    """
    What scripts/install and the Dockerfile take from here is in it, and the pages are.
    """
    (archive,) = built.glob("*.tar.gz")
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", tmp_path], check=True)
    (folder,) = tmp_path.iterdir()
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE) for word in line.split()
    ]

    assert copied
    for name in [
        *copied,
        "Dockerfile",
        "scripts/install",
        "systemd/gatelodge.service",
        "docs/quickstart.md",
        "docs/examples",
    ]:
        assert (folder / name).exists(), name
    assert "scripts/install" in run(folder / "scripts" / "install", "--help")
    assert not (folder / "tests").exists()


def test_the_sums_are_right(built: Path) -> None:
    """
    As whoever downloads it looks.
    """
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=built, capture_output=True, check=False
    )

    assert done.returncode == 0
    assert len((built / "SHA256SUMS").read_text().splitlines()) == 2


def test_the_wheel_works_in_an_environment_of_its_own(built: Path, tmp_path: Path) -> None:
    """
    Installed with what it says that it needs, and nothing else: it reads, explains, and describes.
    """
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment)
    run(environment / "bin" / "pip", "install", "--quiet", wheel(built))
    program = environment / "bin" / "gatelodge"

    assert run(program, "--version") == f"gatelodge, version {gatelodge.__version__}\n"
    assert "good" in run(program, "check", "-c", REPOSITORY / "docs" / "examples" / "home-aliyun.toml")
    assert "nextcloud" in run(program, "presets")
    assert '"$schema"' in run(program, "schema")
    assert run(program, "mailbox").startswith("#!/bin/sh")
    assert run(environment / "bin" / "python", "-c", "import gatelodge; print(gatelodge.__file__)").startswith(
        str(environment)
    )


def test_the_version_stands_in_one_place() -> None:
    """
    The newest chapter of the changelog is it, or is not released yet; nothing else repeats it.
    """
    chapters = re.findall(r"^## \[(.*?)\]", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert chapters[0] in ("Unreleased", gatelodge.__version__)
    if chapters[1:]:
        assert gatelodge.__version__ in chapters[:2]
    places = [REPOSITORY / name for name in ("Dockerfile", "README.md", "pyproject.toml", "config.example.toml")]
    for path in [*places, *(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "docs" / "compose").glob("*")]:
        assert not re.search(
            rf"(?<![\d.]){re.escape(gatelodge.__version__)}(?![\d.])", path.read_text(encoding="utf-8")
        ), path


def repository(folder: Path, *, changelog: str, tag: str | None) -> Path:
    """
    Make a small repository with the script in it, whose Python writes down what it is asked for instead of building.
    """
    for name, text in {
        "daemon/gatelodge/__init__.py": '__version__ = "1.2.3"\n',
        "CHANGELOG.md": changelog,
        ".gitignore": "/.venv/\n/dist/\n",
        ".venv/bin/python": '#!/bin/sh\nmkdir -p "$4"\necho "$@" >"$4/gatelodge-1.2.3.tar.gz"\ncp "$4/gatelodge-1.2.3.tar.gz" "$4/gatelodge-1.2.3.whl"\n',
        "scripts/release": (REPOSITORY / "scripts" / "release").read_text(encoding="utf-8"),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    git = [
        "git",
        "-C",
        str(folder),
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.org",
        "-c",
        "commit.gpgsign=false",
    ]
    run("git", "init", "-q", str(folder))
    run(*git, "add", ".")
    run(*git, "commit", "-q", "-m", "x")
    if tag:
        run(*git, "tag", tag)
    return folder


GOOD = "## [1.2.3] - 2026-01-31\n"


@pytest.mark.parametrize(
    ("changelog", "tag", "more", "words"),
    [
        (GOOD, "v1.2.3", "", ""),
        (GOOD, "v1.2.2", "", "not tagged v1.2.3"),
        (GOOD, None, "", "not tagged v1.2.3"),
        ("## [Unreleased]\n", "v1.2.3", "", "no chapter [1.2.3]"),
        (GOOD, "v1.2.3", "left.txt", "not committed"),
        (GOOD, "v1.2.3", "dist/old.whl", "not empty"),
    ],
)
def test_a_release_stops_where_something_does_not_agree(
    tmp_path: Path, changelog: str, tag: str | None, more: str, words: str
) -> None:
    """
    Changelog, tag, what is committed, an old build: nothing is built until all are right.
    """
    folder = repository(tmp_path, changelog=changelog, tag=tag)
    if more:
        (folder / more).parent.mkdir(exist_ok=True)
        (folder / more).write_text("x")
    done = subprocess.run([folder / "scripts" / "release"], capture_output=True, text=True, check=False)

    assert done.returncode == (1 if words else 0)
    assert words in done.stderr
    assert (folder / "dist" / "SHA256SUMS").exists() is not bool(words)
