"""
Says how things stand as numbers for Prometheus: which metrics there are, what they mean, and their samples. Pure.

Names, labels and units are an interface (docs/admin.md), written as Prometheus asks for (https://prometheus.io/docs/practices/naming/).
What is comes from the last look, what happened from the counts. Labels have the values of the configuration and of tables in the code, so
that there are never more series than it asks for. Nothing here is secret.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import TYPE_CHECKING, Any, TypeAlias

import gatelodge
from gatelodge.core.limits import Counted, limits_of
from gatelodge.runtime.standing.measures import FAILED, SUCCEEDED, Durations, Measures
from gatelodge.runtime.standing.readiness import unready

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Connections


class Type(enum.StrEnum):
    """
    What kind of number a metric is.
    """

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


#: The values of a metric's labels, in their order, and its value.
Sample: TypeAlias = tuple[tuple[str, ...], "float | Durations"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """
    One metric. The name of a counter has no `_total` here; that is put to it where it is written.
    """

    name: str
    type: Type = Type.GAUGE
    help: str
    labels: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    What the numbers are read off: the report of the last look (`report`) and what was desired then, the counts, the visitors of nginx
    (None where it does not tell), when the daemon began.
    """

    document: dict[str, Any]
    desired: Desired
    measures: Measures
    connections: Connections | None
    began_at: dt.datetime


#: The states of certificates that are asked for.
_STATES = ("valid", "placeholder", "missing", "expired")

_LEVELS = ("info", "warning", "error")

#: Events that are counted under names of their own: which metric, and the value of its label.
_TOLD: dict[str, tuple[str, str]] = {
    "nginx.refused": ("refusals", "refused"),
    "nginx.unproven": ("refusals", "unproven"),
    "nginx.failed": ("refusals", "failed"),
    "site.quarantined": ("quarantines", "site"),
    "stream.quarantined": ("quarantines", "stream"),
}


def metrics(seen: Seen) -> Iterator[Metric]:
    """
    Yield every metric there is, those without a sample too.
    """
    yield from _daemon(seen)
    yield from _certificates(seen)
    yield from _authorities(seen)
    yield from _nginx(seen)
    yield from _parts(seen)
    yield from _addresses(seen)


def _daemon(seen: Seen) -> Iterator[Metric]:
    document, measures = seen.document, seen.measures
    yield Metric(
        name="gatelodge_build_info",
        help="1, with the versions of Gatelodge and of the nginx that runs.",
        labels=("version", "nginx"),
        samples=(((gatelodge.__version__, document["nginx"]["version"] or ""), 1.0),),
    )
    yield _one("gatelodge_start_timestamp_seconds", "When the daemon began.", seen.began_at.timestamp())
    yield _one(
        "gatelodge_ready",
        "1 when nginx serves a configuration that was proven, and every certificate is there and good (/readyz).",
        not unready(document),
    )
    yield _one(
        "gatelodge_config_refused",
        "1 while the configuration that was read last was refused, and the one before it goes on.",
        measures.config_refused,
    )
    yield _one(
        "gatelodge_clock_doubted",
        "1 while the machine's clock is not believed, and issuance pauses.",
        document["clock"] is not None,
    )
    yield Metric(
        name="gatelodge_events",
        type=Type.COUNTER,
        help="Events, by their level.",
        labels=("level",),
        samples=tuple(((level,), measures.events[level]) for level in _LEVELS),
    )


def _certificates(seen: Seen) -> Iterator[Metric]:
    entries = [entry for entry in seen.document["certificates"] if entry["state"] != "unused"]
    measures = seen.measures

    def times(name: str, text: str, key: str) -> Metric:
        return Metric(
            name=name,
            help=text,
            labels=("certificate",),
            samples=tuple(((entry["certificate"],), _seconds(entry[key])) for entry in entries if entry[key]),
        )

    yield times("gatelodge_certificate_not_before_timestamp_seconds", "From when a certificate is good.", "not_before")
    yield times("gatelodge_certificate_not_after_timestamp_seconds", "Until when a certificate is good.", "not_after")
    yield times(
        "gatelodge_certificate_renewal_timestamp_seconds", "When a certificate is to be renewed next.", "renew_at"
    )
    yield Metric(
        name="gatelodge_certificate_state",
        help="1 for the state that a certificate is in, of those there are.",
        labels=("certificate", "state"),
        samples=tuple(
            ((entry["certificate"], state), float(entry["state"] == state)) for entry in entries for state in _STATES
        ),
    )
    yield Metric(
        name="gatelodge_certificate_failures_in_a_row",
        help="How many tries at a certificate have failed since the last one that did not.",
        labels=("certificate",),
        samples=tuple(
            ((entry["certificate"],), float(entry["failure"]["failures"] if entry["failure"] else 0))
            for entry in entries
        ),
    )
    yield Metric(
        name="gatelodge_certificate_retry_timestamp_seconds",
        help="When a certificate that failed is tried again.",
        labels=("certificate",),
        samples=tuple(
            ((entry["certificate"],), _seconds(entry["failure"]["retry_at"])) for entry in entries if entry["failure"]
        ),
    )
    names = dict.fromkeys(entry["certificate"] for entry in entries)
    yield Metric(
        name="gatelodge_certificate_attempts",
        type=Type.COUNTER,
        help="Tries at a certificate, by what became of them.",
        labels=("certificate", "result"),
        samples=tuple(
            ((name, result), measures.tries[name, result]) for name in names for result in (SUCCEEDED, FAILED)
        ),
    )
    yield Metric(
        name="gatelodge_certificate_failures",
        type=Type.COUNTER,
        help="Tries at a certificate that failed, by who or what stood in the way.",
        labels=("certificate", "class"),
        samples=_sorted((key, count) for key, count in measures.failures.items() if key[0] in names),
    )


def _authorities(seen: Seen) -> Iterator[Metric]:
    measures = seen.measures
    yield Metric(
        name="gatelodge_acme_requests",
        type=Type.COUNTER,
        help="Requests to a CA, by resource (RFC 8555 §7.1) and class of status; none where no whole answer came.",
        labels=("ca", "resource", "status"),
        samples=_sorted(measures.requests.items()),
    )
    yield Metric(
        name="gatelodge_acme_request_duration_seconds",
        type=Type.HISTOGRAM,
        help="How long requests to a CA took, answered or not.",
        labels=("ca", "resource"),
        samples=_sorted(measures.durations.items()),
    )
    size, left = _budgets(seen)
    yield Metric(
        name="gatelodge_rate_budget_size",
        help="What a CA's rate limit allows in its time, by what it counts.",
        labels=("ca", "limit"),
        samples=_sorted(size.items()),
    )
    yield Metric(
        name="gatelodge_rate_budget_left",
        help="What is left of a rate limit by our own count; for whom the least is left, where it counts for several.",
        labels=("ca", "limit"),
        samples=_sorted(left.items()),
    )


def _budgets(seen: Seen) -> tuple[dict[tuple[str, ...], float], dict[tuple[str, ...], float]]:
    """
    Return how much each limit of the CAs that are asked allows, and what is left of it. The report tells of those that are not full.
    """
    size: dict[tuple[str, ...], float] = {}
    for name in seen.desired.asked:
        authority = seen.desired.authorities[name]
        for limit in limits_of(authority.directory, public=authority.production):
            size[name, limit.counted.name.lower()] = float(limit.count)
    left = dict(size)
    for entry in seen.document["budgets"]:
        key = entry["ca"], Counted(entry["limit"]).name.lower()
        if key in left:
            left[key] = min(left[key], float(entry["left"]))
    return size, left


def _nginx(seen: Seen) -> Iterator[Metric]:
    nginx, told = seen.document["nginx"], seen.measures.told
    yield _one("gatelodge_nginx_up", "1 while nginx runs.", nginx["running"])
    yield _one("gatelodge_nginx_proven", "1 while nginx serves a configuration that was proven.", nginx["proven"])
    yield _one("gatelodge_nginx_up_to_date", "1 while nginx serves exactly what is asked for now.", nginx["up_to_date"])
    yield Metric(
        name="gatelodge_nginx_generation",
        help="The number of the configuration that is current.",
        samples=(((), float(nginx["generation"])),) if nginx["generation"] is not None else (),
    )
    yield _one(
        "gatelodge_nginx_draining_workers",
        "Workers that finish old connections since a reload.",
        nginx["draining_workers"],
    )
    yield _counted("gatelodge_nginx_reloads", "Configurations that nginx was seen to take up.", told["nginx.reloaded"])
    yield _by_event(
        seen,
        "gatelodge_nginx_refusals",
        "Configurations that nginx did not come to serve, by why.",
        "refusals",
        "reason",
    )
    yield _counted(
        "gatelodge_nginx_rollbacks", "Times that the last proven configuration came back.", told["nginx.rolled_back"]
    )
    yield _counted("gatelodge_nginx_exits", "Times that nginx ended by itself.", told["nginx.exited"])
    visitors = seen.connections
    states = ("active", "reading", "writing", "waiting")
    yield Metric(
        name="gatelodge_nginx_connections",
        help="Connections of visitors now, by what nginx does with them; active are all of them.",
        labels=("state",),
        samples=tuple(((state,), float(getattr(visitors, state))) for state in states) if visitors else (),
    )
    for name, text, key in _OF_VISITORS:
        yield Metric(
            name=name,
            type=Type.COUNTER,
            help=text,
            samples=(((), float(getattr(visitors, key))),) if visitors else (),
        )


_OF_VISITORS = (
    ("gatelodge_nginx_connections_accepted", "Connections that nginx accepted since it runs.", "accepted"),
    ("gatelodge_nginx_connections_handled", "Of these, those that it had room for.", "handled"),
    ("gatelodge_nginx_requests", "Requests that came to nginx since it runs.", "requests"),
)


def _parts(seen: Seen) -> Iterator[Metric]:
    for kind in ("site", "stream"):
        yield Metric(
            name=f"gatelodge_{kind}_quarantined",
            help=f"1 while a {kind} is not served as it is asked for, since nginx refuses it.",
            labels=(kind,),
            samples=tuple(
                ((entry[kind],), float(entry["state"] == "quarantined")) for entry in seen.document[f"{kind}s"]
            ),
        )
    yield _by_event(seen, "gatelodge_quarantines", "Times that a site or stream was kept back.", "quarantines", "kind")


def _addresses(seen: Seen) -> Iterator[Metric]:
    found = seen.document["ddns"] or {"looked_at": None, "hosts": []}
    labels = ("host", "type")
    yield Metric(
        name="gatelodge_ddns_last_success_timestamp_seconds",
        help="When dynamic DNS last looked and could do its work.",
        samples=(((), _seconds(found["looked_at"])),) if found["looked_at"] else (),
    )
    yield Metric(
        name="gatelodge_ddns_last_change_timestamp_seconds",
        help="When dynamic DNS last wrote an address.",
        labels=labels,
        samples=tuple(
            ((host["host"], host["type"]), _seconds(host["changed_at"]))
            for host in found["hosts"]
            if host["changed_at"]
        ),
    )
    yield Metric(
        name="gatelodge_ddns_kept",
        help="1 while a name is kept on the public address, 0 while something stands in the way.",
        labels=labels,
        samples=tuple(((host["host"], host["type"]), float(not host["problem"])) for host in found["hosts"]),
    )
    yield _counted(
        "gatelodge_ddns_failures",
        "Times that dynamic DNS could not look or write.",
        seen.measures.told["address.failed"],
    )


def known(document: dict[str, Any], desired: Desired) -> tuple[frozenset[str], frozenset[str]]:
    """
    Return the names of certificates and CAs that there are, so that the counts of others may be forgotten.
    """
    certificates = frozenset(entry["certificate"] for entry in document["certificates"])
    return certificates, frozenset(desired.asked)


def _one(name: str, text: str, value: float) -> Metric:
    return Metric(name=name, help=text, samples=(((), float(value)),))


def _counted(name: str, text: str, value: float) -> Metric:
    return Metric(name=name, type=Type.COUNTER, help=text, samples=(((), float(value)),))


def _by_event(seen: Seen, name: str, text: str, metric: str, label: str) -> Metric:
    """
    Make the counter that events are counted by, a sample for each.
    """
    rows = [(event, value) for event, (counted, value) in _TOLD.items() if counted == metric]
    return Metric(
        name=name,
        type=Type.COUNTER,
        help=text,
        labels=(label,),
        samples=tuple(((value,), float(seen.measures.told[event])) for event, value in rows),
    )


def _sorted(samples: Iterable[tuple[tuple[str, ...], float | Durations]]) -> tuple[Sample, ...]:
    return tuple(sorted(samples, key=lambda each: each[0]))


def _seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()
