"""
The alerts for Prometheus that are on offer: read and tried by Prometheus' own tool, and made of metrics that there are.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.support import pages
from tests.support.admin import gatehouse
from tests.support.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "docs" / "prometheus"
RULES, TESTS = FOLDER / "gatelodge.rules.yml", FOLDER / "gatelodge.rules.test.yml"

#: Debian has it in the package `prometheus`, which is large and starts a service.
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")

_METRIC = re.compile(r"\bgatelodge_[a-z_]+")


def tried(folder: Path) -> subprocess.CompletedProcess[str]:
    """
    Have the rules of a folder tried.
    """
    command = [str(PROMTOOL), "test", "rules", TESTS.name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@needs_promtool
def test_the_alerts_do_what_they_say() -> None:
    """
    On a gate in trouble of each kind, and none of them on one where all is well.
    """
    done = subprocess.run([str(PROMTOOL), "check", "rules", RULES], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert (run := tried(FOLDER)).returncode == 0, run.stdout + run.stderr


@needs_promtool
@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('up{job="gatelodge"} == 0', 'up{job="gatelodge"} == 2'),
        ('absent(up{job="gatelodge"})', 'absent(up{job="other"})'),
        ("gatelodge_ready == 0", "gatelodge_ready == 1"),
        ("timestamp_seconds <= time()", "timestamp_seconds < time() - 60"),
        (") / 6", ") / 60"),
        (") / 6", ") / 2"),
        ("failures_in_a_row >= 3", "failures_in_a_row >= 2"),
        ("and on (instance, job) gatelodge_nginx_up_to_date == 0", ""),
        (" or gatelodge_stream_quarantined == 1", ""),
        ("gatelodge_config_refused == 1", "gatelodge_config_refused == 0"),
        ("gatelodge_rate_budget_left == 0", "gatelodge_rate_budget_left <= 1"),
        ("gatelodge_clock_doubted == 1", "gatelodge_clock_doubted == 0"),
    ],
)
def test_an_alert_that_is_wrong_is_found(tmp_path: Path, line: str, wrong: str) -> None:
    """
    The tests beside the rules fail for each rule that says something else.
    """
    text = RULES.read_text()
    assert text.count(line) == 1
    (tmp_path / RULES.name).write_text(text.replace(line, wrong))
    (tmp_path / TESTS.name).write_text(TESTS.read_text())

    assert tried(tmp_path).returncode != 0


@needs_promtool
def test_prometheus_takes_what_the_page_has_for_it(tmp_path: Path) -> None:
    """
    The scrape with its token, and the rules.
    """
    (block,) = (each for each in pages.blocks("yaml") if "scrape_configs" in each.text)
    token = tmp_path / "gatelodge.token"
    token.write_text("a-token-of-enough-length")
    (tmp_path / RULES.name).write_text(RULES.read_text())
    config = tmp_path / "prometheus.yml"
    config.write_text(block.text.replace("/etc/prometheus/gatelodge.token", str(token)))
    done = subprocess.run([str(PROMTOOL), "check", "config", config], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 rules found" in done.stdout + done.stderr


@needs_promtool
async def test_prometheus_finds_nothing_to_lint(tmp_path: Path) -> None:
    """
    In the names, units and texts of the metrics, with samples in all of them.
    """
    async with gatehouse(tmp_path, "a.example.com") as house:
        house.measures.request("letsencrypt", "new_order", 201, 0.2)
        said = await house.ask("GET", "/metrics")
    command = [str(PROMTOOL), "check", "metrics"]
    done = await asyncio.to_thread(subprocess.run, command, input=said.body, capture_output=True, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_they_are_made_of_metrics_that_there_are() -> None:
    """
    As the page lists them, which is held against what is told.
    """
    told = set(re.findall(r"^\| `(gatelodge_\w+)", (ROOT / "docs" / "admin.md").read_text(), re.MULTILINE))
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    used = {name for rule in rules for name in _METRIC.findall(str(rule))}

    assert len(rules) == 10
    assert used
    assert used - told == set()


def test_each_has_a_test() -> None:
    """
    In which it is told, and one in which it is not.
    """
    names = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["alert_rule_test"]]

    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names
