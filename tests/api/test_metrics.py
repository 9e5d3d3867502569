"""
What Prometheus is told, over a real connection, of the daemon of a simulated world: how things stand, and what happened.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from tests.support.admin import TOKEN, Gatehouse, gatehouse
from tests.support.ca import REFUSED
from tests.support.pages import ROOT

import gatelodge
from gatelodge.core.failures import classify
from gatelodge.core.observed import Connections

if TYPE_CHECKING:
    from collections.abc import Iterator

A, B = "a.example.com", "b.example.com"

#: A metric's name and labels, and its value.
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def folder() -> Iterator[Path]:
    """
    A folder with a path short enough for a socket (108 bytes, unix(7)).
    """
    with tempfile.TemporaryDirectory(prefix="gl-") as name:
        yield Path(name)


def read(text: str) -> Samples:
    """
    Read what Prometheus would.
    """
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scraped(house: Gatehouse) -> Samples:
    """
    Ask for the metrics.
    """
    said = await house.ask("GET", "/metrics")
    assert said.status == 200, said.raw
    assert TOKEN not in said.body.decode()
    return read(said.body.decode())


def value(found: Samples, name: str, **labels: str) -> float:
    """
    Return the value of one series; -1 when it is not there.
    """
    return found.get((name, frozenset(labels.items())), -1.0)


async def test_how_things_stand(folder: Path) -> None:
    """
    Times in seconds since 1970, states as 1 and 0, and what the process itself says.
    """
    async with gatehouse(folder, A) as house:
        found = await scraped(house)
        (entry,) = (await house.ask("GET", "/v1/status")).json()["certificates"]
        ends, renews = (dt.datetime.fromisoformat(entry[key]).timestamp() for key in ("not_after", "renew_at"))

        assert value(found, "gatelodge_ready") == 1
        assert value(found, "gatelodge_nginx_up") == value(found, "gatelodge_nginx_proven") == 1
        assert value(found, "gatelodge_nginx_generation") >= 1
        assert value(found, "gatelodge_certificate_not_after_timestamp_seconds", certificate=A) == ends
        assert value(found, "gatelodge_certificate_renewal_timestamp_seconds", certificate=A) == renews
        assert value(found, "gatelodge_certificate_state", certificate=A, state="valid") == 1
        assert value(found, "gatelodge_certificate_state", certificate=A, state="placeholder") == 0
        assert value(found, "gatelodge_site_quarantined", site=A) == 0
        assert value(found, "gatelodge_clock_doubted") == 0
        assert value(found, "gatelodge_build_info", version=gatelodge.__version__, nginx="1.28.0") == 1
        assert value(found, "process_resident_memory_bytes") > 1e6
        assert value(found, "process_open_fds") > 3


async def test_what_fails_is_counted_by_who_stands_in_the_way(folder: Path) -> None:
    """
    And is over when it works again: no failure is left in a row, while the counts go on.
    """
    async with gatehouse(folder, A) as house:
        before = await scraped(house)
        house.world.ca.refuses[A] = REFUSED
        await house.ask("POST", f"/v1/certificates/{A}/renew", body=b'{"force": true}')
        failed = await scraped(house)
        del house.world.ca.refuses[A]
        await house.ask("POST", f"/v1/certificates/{A}/renew", body=b'{"force": true}')
        healed = await scraped(house)

        def tries(found: Samples) -> tuple[float, float]:
            name = "gatelodge_certificate_attempts_total"
            return tuple(value(found, name, certificate=A, result=result) for result in ("succeeded", "failed"))  # type: ignore[return-value]

        failures, row = "gatelodge_certificate_failures_total", "gatelodge_certificate_failures_in_a_row"
        retry = "gatelodge_certificate_retry_timestamp_seconds"
        of_class = str(classify(REFUSED))

        assert (tries(before), tries(failed), tries(healed)) == ((1, 0), (1, 1), (2, 1))
        assert value(failed, failures, **{"certificate": A, "class": of_class}) == 1
        assert value(failed, row, certificate=A) == 1
        assert value(failed, retry, certificate=A) > house.world.clock.now().timestamp()
        assert value(healed, failures, **{"certificate": A, "class": of_class}) == 1
        assert value(healed, row, certificate=A) == 0
        assert value(healed, retry, certificate=A) == -1
        assert value(healed, "gatelodge_events_total", level="error") == 1


async def test_a_site_that_is_kept_back(folder: Path) -> None:
    """
    Is told by its name, and counted.
    """
    async with gatehouse(folder, A, B) as house:
        house.world.nginx.refuses = lambda _, text: "10.0.0.9" in text
        house.world.use(A, B, b="10.0.0.9")
        await house.ask("POST", "/v1/once")
        found = await scraped(house)

        assert value(found, "gatelodge_site_quarantined", site=B) == 1
        assert value(found, "gatelodge_site_quarantined", site=A) == 0
        assert value(found, "gatelodge_quarantines_total", kind="site") == 1
        assert value(found, "gatelodge_nginx_proven") == 1


async def test_what_is_not_there_any_more_is_not_told(folder: Path) -> None:
    """
    Nor is it remembered: there are never more series than the configuration asks for.
    """
    async with gatehouse(folder, A, B) as house:
        both = await scraped(house)
        house.world.use(A)
        await house.ask("POST", "/v1/once")
        house.world.ca.refuses[A] = REFUSED
        await house.world.reconciler.distrust()
        await house.ask("POST", "/v1/forget", body=b'{"certificate": "b.example.com"}')
        one = await scraped(house)

        def named(found: Samples) -> set[str]:
            return {value for _, labels in found for name, value in labels if name in {"certificate", "site"}}

        assert named(both) == {A, B}
        assert named(one) == {A}
        assert {certificate for certificate, _ in house.measures.tries} == {A}


async def test_limits_of_a_ca(folder: Path) -> None:
    """
    How much each allows and how much is left, for whom the least is; and requests by resource, status and time.
    """
    async with gatehouse(folder, A) as house:
        house.measures.request("letsencrypt", "new_order", 201, 0.2)
        house.measures.request("letsencrypt", "new_order", 429, 0.02)
        house.measures.request("letsencrypt", "directory", None, 40)
        house.measures.request("one that is gone", "directory", 200, 0.1)
        spent = [
            {"ca": "letsencrypt", "limit": "certificates per registered domain", "whose": whose, "left": left}
            for whose, left in (("example.com", 7), ("example.org", 49))
        ]
        gate = dataclasses.replace(house.world.reconciler.gate, budgets=lambda: spent)
        house.world.reconciler.use(gate)
        await house.ask("POST", "/v1/once")
        found = await scraped(house)
        requests, took = "gatelodge_acme_requests_total", "gatelodge_acme_request_duration_seconds"
        order = {"ca": "letsencrypt", "resource": "new_order"}

        assert value(found, "gatelodge_rate_budget_left", ca="letsencrypt", limit="certificates_per_domain") == 7
        assert value(found, "gatelodge_rate_budget_size", ca="letsencrypt", limit="certificates_per_domain") == 50
        assert value(found, "gatelodge_rate_budget_left", ca="letsencrypt", limit="orders") == 300
        assert value(found, requests, **order, status="2xx") == value(found, requests, **order, status="4xx") == 1
        assert value(found, requests, ca="letsencrypt", resource="directory", status="none") == 1
        assert value(found, f"{took}_bucket", **order, le="0.05") == 1
        assert value(found, f"{took}_bucket", **order, le="0.25") == value(found, f"{took}_count", **order) == 2
        assert value(found, f"{took}_bucket", ca="letsencrypt", resource="directory", le="30.0") == 0
        assert value(found, f"{took}_sum", **order) == pytest.approx(0.22)
        assert not [labels for _, labels in found if ("ca", "one that is gone") in labels]


async def test_the_visitors_of_nginx(folder: Path) -> None:
    """
    Where it tells them; where it does not, nothing is said of them.
    """
    async with gatehouse(folder, A) as house:

        async def told(_: object) -> Connections:
            return Connections(active=3, accepted=20, handled=19, requests=50, reading=0, writing=1, waiting=2)

        silent = await scraped(house)
        house.world.reconciler.use(dataclasses.replace(house.world.reconciler.gate, connections=told))
        await house.ask("POST", "/v1/once")
        found = await scraped(house)

        assert value(silent, "gatelodge_nginx_requests_total") == -1
        assert value(found, "gatelodge_nginx_requests_total") == 50
        assert value(found, "gatelodge_nginx_connections", state="waiting") == 2
        assert value(found, "gatelodge_nginx_connections_accepted_total") == 20


async def test_a_configuration_that_was_refused(folder: Path) -> None:
    """
    Is told until a good one is read.
    """
    async with gatehouse(folder, A) as house:
        house.world.events.emit("config.refused", level="error", mistakes=[])
        refused = await scraped(house)
        house.world.events.emit("config.loaded")

        assert value(refused, "gatelodge_config_refused") == 1
        assert value(await scraped(house), "gatelodge_config_refused") == 0


async def test_openmetrics_for_who_accepts_it(folder: Path) -> None:
    """
    The same numbers, as its own parser reads them.
    """
    async with gatehouse(folder, A) as house:
        wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
        said = await house.ask("GET", "/metrics", headers=wanted)
        families = {family.name: family for family in openmetrics(said.body.decode())}

        assert said.headers["content-type"].startswith("application/openmetrics-text")
        assert families["gatelodge_events"].type == "counter"


async def test_every_metric_is_on_the_page(folder: Path) -> None:
    """
    docs/admin.md has a row for each that is told, with its labels, and none besides.
    """
    async with gatehouse(folder, A) as house:
        said = await house.ask("GET", "/metrics")
    told = set(re.findall(r"^# TYPE (gatelodge_\S+)", said.body.decode(), re.MULTILINE))
    rows = set(re.findall(r"^\| `(gatelodge_\w+)", (ROOT / "docs" / "admin.md").read_text(), re.MULTILINE))

    assert rows == told


def test_nobody_pays_for_what_he_does_not_ask_for() -> None:
    """
    The library is loaded with the first question: the daemon is small.
    """
    code = "import sys, gatelodge.api.server, gatelodge.wiring; sys.exit('prometheus_client' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
