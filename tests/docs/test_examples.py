"""
What the pages tell people to write is what the programs that read it take.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import crossplane
import pytest
import yaml
from tests.support import pages
from tests.support.pages import ROOT
from tests.systemd.test_units import analyze, root  # noqa: F401 - a fixture

from gatelodge.config.parse import parse
from gatelodge.dns.aliyun.credentials import FileKeys
from gatelodge.offers import CATALOG

if TYPE_CHECKING:
    from pathlib import Path

#: What a snippet leaves out, since its subject is another.
REST: dict[str, Any] = {
    "acme": {"agree_tos": True},
    "dns": {"home": {"provider": "rfc2136", "server": "192.0.2.53"}},
    "sites": {"www.example.org": "http://127.0.0.1:3000"},
}

#: Who reads a block. `text` is for people alone: diagrams, and what programs print; `conf` is for programs of others.
LANGUAGES = {"conf", "toml", "sh", "json", "yaml", "nginx", "ini", "dotenv", "bind", "mermaid", "text"}

#: The unit that a page's drop-in is for.
_UNITS = {"systemd.md": "gatelodge.service", "export.md": "gatelodge.service", "helper.md": "gatelodge-nginx.service"}


def given(*languages: str) -> Any:
    """
    Run a test for each block of a language.
    """
    return pytest.mark.parametrize("block", pages.blocks(*languages), ids=lambda block: block.where)


def test_every_block_says_who_reads_it() -> None:
    """
    A block of a language that nobody here reads is one that nobody has tried.
    """
    strange = {block.where: block.language for block in pages.blocks() if block.language not in LANGUAGES}

    assert not strange


@given("toml")
def test_a_snippet_is_a_configuration(block: pages.Block) -> None:
    """
    Alone, or with the tables that it does not speak of.
    """
    config = parse({**REST, **tomllib.loads(block.text)}, CATALOG)

    assert config.sites, block.where
    assert not config.warnings, block.where


def test_the_commented_parts_of_the_example_are_right_too() -> None:
    """
    A person takes the # away, and it works.
    """
    text = (ROOT / "config.example.toml").read_text(encoding="utf-8")
    parts = re.findall(r"^# (\[(?:dns|certificates|ddns|nginx)[^\n]*\n(?:# [a-z_]+ = [^\n]*\n)*)", text, re.MULTILINE)
    uncommented = "".join(part.replace("\n# ", "\n") for part in parts)
    mapping = tomllib.loads(uncommented)
    config = parse({**REST, **mapping}, CATALOG)

    assert mapping.keys() == {"dns", "certificates", "ddns", "nginx"}
    assert config.dns["home"].provider == "aliyun"


@given("json")
def test_json_is_json(block: pages.Block) -> None:
    """
    As programs read it.
    """
    assert json.loads(block.text)


@given("yaml")
def test_yaml_is_a_piece_of_a_compose_file(block: pages.Block) -> None:
    """
    Of what a compose file has at its top, or in a service; or it is for Prometheus.
    """
    document = yaml.safe_load(block.text)
    shipped = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "docs" / "compose").glob("*.yaml")]
    known = {key for each in shipped for service in each["services"].values() for key in service}

    assert set(document) <= {"services", "networks", "volumes", "scrape_configs", "rule_files"} | known


@given("nginx")
def test_nginx_reads_its_directives(block: pages.Block, tmp_path: Path) -> None:
    """
    In `http {}` or beside it; and the files that are included are ones that a tree has.
    """
    file = tmp_path / "nginx.conf"
    file.write_text(
        block.text if "stream {" in block.text else f"events {{}}\nhttp {{\n{block.text}\n}}\n", encoding="utf-8"
    )
    read = crossplane.parse(str(file), single=True)

    assert read["status"] == "ok", read["errors"]

    written = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "daemon/gatelodge/nginx").rglob("*.py"))
    for name in re.findall(r"include /var/lib/gatelodge(?:-nginx)?/(?:nginx/)?current/([\w.\[\]/-]+);", block.text):
        plain = name.replace("[f]", "f")
        assert plain in written or ("tls/" in written and plain.startswith("tls/")), name


def units() -> list[pages.Block]:
    """
    Return the blocks that systemd reads.
    """
    return [block for block in pages.blocks("ini") if block.text.startswith("[")]


@pytest.mark.parametrize(
    "block", [block for block in pages.blocks("ini") if block not in units()], ids=lambda block: block.where
)
async def test_a_file_with_a_key_is_read(block: pages.Block, tmp_path: Path) -> None:
    """
    As the Aliyun provider reads it.
    """
    file = tmp_path / "aliyun.ini"
    file.write_text(block.text, encoding="utf-8")
    key = await FileKeys(str(file)).get()

    assert key.id.reveal() == "LTAI5tExample"
    assert key.secret.reveal() == "ExampleSecret"


@pytest.mark.parametrize("block", units(), ids=lambda block: block.where)
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="scripts/setup test installs systemd")
def test_systemd_takes_a_unit_and_a_drop_in(block: pages.Block, root: Path) -> None:  # noqa: F811 - the fixture
    """
    Without a word.
    """
    folder = root / "etc/systemd/system"
    folder.mkdir(parents=True)
    (root / "opt/gatelodge/bin/python").touch(mode=0o755)
    unit = _UNITS.get(block.page.name, "page.service")
    if unit == "page.service":
        (folder / unit).write_text(block.text)
    else:
        shutil.copy(ROOT / "systemd" / unit, folder)
        (folder / f"{unit}.d").mkdir()
        (folder / f"{unit}.d" / "page.conf").write_text(block.text)
    done = analyze("verify", f"--root={root}", unit)

    assert (done.returncode, done.stderr) == (0, "")


@given("dotenv")
def test_variables_are_those_of_a_compose_file(block: pages.Block) -> None:
    """
    What is written into `.env` is asked for.
    """
    shipped = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "compose").glob("*.yaml"))
    for row in block.text.split():
        assert f"${{{row.split('=')[0]}:-" in shipped, row


@given("bind")
@pytest.mark.skipif(shutil.which("named-checkconf") is None, reason="scripts/setup test installs bind9")
def test_bind_takes_its_zone(block: pages.Block, tmp_path: Path) -> None:
    """
    With the key that it speaks of.
    """
    file = tmp_path / "named.conf"
    file.write_text(f'key "gatelodge" {{ algorithm hmac-sha256; secret "c2VjcmV0"; }};\n{block.text}', encoding="utf-8")
    done = subprocess.run(["named-checkconf", file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
