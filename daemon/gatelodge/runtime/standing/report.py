"""
Says how things stand, for people and programs: the JSON of `status` and of the admin service. Pure.

Field names are an interface. Nothing here is secret, and nothing is decided: it tells what `observed` and the plan say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatelodge.core import asking
from gatelodge.core.actions import ADDRESSES, certificate_key, describe, export_key
from gatelodge.core.due import due, identifier
from gatelodge.core.exporting import is_current
from gatelodge.core.parts import STREAM_SNIPPET, called
from gatelodge.core.renewal import late
from gatelodge.model import INTERNAL_HOST
from gatelodge.runtime.addresses import document

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from gatelodge.core.desired import Desired
    from gatelodge.core.observed import Attempt, Held, Job, Observed
    from gatelodge.model import CertificateSpec, Export, Site, Stream
    from gatelodge.runtime.look import Look


def report(look: Look, now: dt.datetime) -> dict[str, Any]:
    """
    Return how things stand as a JSON object.
    """
    observed, desired = look.observed, look.gate.desired
    # The placeholder is nobody's business, unless it cannot be had.
    names = [name for name in desired.certificates if name != INTERNAL_HOST or name in observed.damaged]
    stood_in = _stood_in(desired, observed)
    unused = [name for name in observed.held if name not in desired.certificates]
    return {
        "time": now.isoformat(),
        "settled": look.settled,
        "clock": observed.doubt.reason if observed.doubt else None,
        "nginx": _nginx(look),
        "sites": [_site(site, look) for site in desired.sites],
        "streams": [*(_stream(stream, look) for stream in desired.streams), *_stream_snippet(look)],
        "ddns": _addresses(look),
        "leftovers": {provider: list(names) for (provider, _), names in observed.leftovers.items()},
        "certificates": [
            _certificate(name, desired, observed, now, stood_in=name in stood_in) for name in (*names, *unused)
        ],
        "budgets": list(look.gate.budgets()),
        "next": [describe(action) for action in look.plan.actions],
        "look_at": look.plan.look_at.isoformat(),
    }


def doing(jobs: Mapping[str, Job], now: dt.datetime) -> dict[str, Any]:
    """
    Return the jobs that run as a JSON object: small, for who asks often.
    """
    return {"time": now.isoformat(), "jobs": [{"job": key, **_job(job)} for key, job in jobs.items()]}


def healthy(document: dict[str, Any]) -> bool:
    """
    Tell whether a report shows everything that is asked for held and served.
    """
    return (
        document["clock"] is None
        and document["nginx"]["up_to_date"]
        and document["nginx"]["failure"] is None
        and all(site["state"] in ("serving", "plain") for site in document["sites"])
        and all(stream["state"] in ("serving", "passing") for stream in document["streams"])
        and all(entry["state"] in ("valid", "unused") and not entry["lacking"] for entry in document["certificates"])
        and not any(export["failure"] for entry in document["certificates"] for export in entry["exports"])
    )


def _addresses(look: Look) -> dict[str, Any] | None:
    """
    Say how dynamic DNS stands; None where it is not asked for.
    """
    settings, addresses = look.gate.desired.ddns, look.gate.addresses
    if settings is None or addresses is None:
        return None
    attempt = look.observed.attempts.get(ADDRESSES)
    return {**document(addresses.facts, settings), "failure": _failure(attempt) if attempt else None}


def _nginx(look: Look) -> dict[str, Any]:
    observed, nginx = look.observed, look.observed.nginx
    failed = [attempt for tries, attempt in observed.attempts.items() if tries.startswith("nginx/")]
    version = nginx.version or (nginx.capabilities.version if nginx.capabilities else None)
    return {
        "running": nginx.running is not None,
        "pid": nginx.pid,
        "version": ".".join(map(str, version)) if version else None,
        "generation": nginx.current.number if nginx.current else None,
        "proven": bool(
            nginx.running and nginx.current and nginx.current.proven and nginx.running == nginx.current.number
        ),
        "up_to_date": look.served,
        "draining_workers": nginx.draining,
        "missing": nginx.missing,
        "failure": _failure(failed[-1]) if failed else None,
    }


def _site(site: Site, look: Look) -> dict[str, Any]:
    observed = look.observed
    held = observed.held.get(site.certificates[0]) if site.certificates else None
    if observed.nginx.running is None:
        state = "down"
    elif site.file_name in look.kept_back:
        state = "quarantined"
    elif site.plain:
        state = "plain"
    elif held is None or held.placeholder:
        state = "placeholder"
    else:
        state = "serving"
    return {
        "site": site.name,
        "hosts": list(site.hosts),
        "urls": [url(site, look.gate.desired)],
        "certificate": site.certificates[0] if site.certificates else None,
        "upstreams": {route.path: str(route.action) for route in site.routes},
        "state": state,
        **_trouble(site.file_name, look),
    }


def _stream(stream: Stream, look: Look) -> dict[str, Any]:
    observed = look.observed
    held = observed.held.get(stream.certificates[0]) if stream.certificates else None
    if observed.nginx.running is None:
        state = "down"
    elif stream.part in look.kept_back:
        state = "quarantined"
    elif not stream.certificates:
        state = "passing"
    elif held is None or held.placeholder:
        state = "placeholder"
    else:
        state = "serving"
    others = {"*": str(stream.upstream)} if stream.upstream else {}
    return {
        "stream": stream.name,
        "listen": [str(listener) for listener in stream.listeners],
        "hosts": list(stream.hosts),
        "certificate": stream.certificates[0] if stream.certificates else None,
        "upstreams": {**{name: str(pool) for name, pool in stream.by_name}, **others},
        "state": state,
        **_trouble(stream.part, look),
    }


def _stream_snippet(look: Look) -> list[dict[str, Any]]:
    """
    Return the user's own text for `stream {}` where it is kept back: otherwise nothing is to be said of it.
    """
    if STREAM_SNIPPET not in look.kept_back:
        return []
    nothing: dict[str, Any] = {"listen": [], "hosts": [], "certificate": None, "upstreams": {}}
    _, name = called(STREAM_SNIPPET)
    return [{"stream": name, **nothing, "state": "quarantined", **_trouble(STREAM_SNIPPET, look)}]


def _trouble(part: str, look: Look) -> dict[str, Any]:
    """
    Say why a part is not served as it is asked for, if it is not, and when it is tried again.
    """
    quarantine = look.observed.quarantines.get(part)
    return {
        "error": look.kept_back.get(part),
        "retry_at": quarantine.retry_at.isoformat() if quarantine else None,
    }


def url(site: Site, desired: Desired) -> str:
    """
    Return what a visitor types to reach a site on its first listener.
    """
    port = site.listeners[0].port
    public = {
        desired.nginx.http_port: desired.nginx.public_http_port,
        desired.nginx.https_port: desired.nginx.public_https_port,
    }.get(port, port)
    scheme, usual = ("https", 443) if site.certificates else ("http", 80)
    host = f"[{site.name}]" if ":" in site.name else site.name
    return f"{scheme}://{host}{'' if public == usual else f':{public}'}/"


def _stood_in(desired: Desired, observed: Observed) -> frozenset[str]:
    """
    Return the certificates for which visitors are shown the placeholder while there are none. Of two for one name that is the first, and
    one of which only other programs make use has none.
    """
    if INTERNAL_HOST not in observed.held:
        return frozenset()
    of_sites = {name for site in desired.sites for name in site.certificates}
    shown = of_sites.union(*(stream.certificates for stream in desired.streams))
    return frozenset(
        name
        for name, spec in desired.certificates.items()
        if spec.beside is None and (name in shown or desired.nginx.reload is not None)
    )


def _certificate(
    name: str, desired: Desired, observed: Observed, now: dt.datetime, *, stood_in: bool
) -> dict[str, Any]:
    spec, held = desired.certificates.get(name), observed.held.get(name)
    attempt = asking.latest(observed.attempts, name)
    job = observed.jobs.get(certificate_key(name))
    real = held if held and not held.placeholder else None
    return {
        "certificate": name,
        "names": list(spec.names if spec else held.names if held else ()),
        "ca": _ca(spec, held),
        "cas": [str(issuer) for issuer in spec.issuers] if spec else [],
        "lacking": [each for each in spec.names if each not in real.names] if spec and real else [],
        "state": _state(held, now, used=spec is not None, stood_in=stood_in),
        "late": late(due=due(real, observed.renewals)[0], not_after=real.not_after, now=now)
        if real and spec and not real.brought
        else 0,
        "revoked": held is not None and observed.is_revoked(held),
        "not_before": real.not_before.isoformat() if real else None,
        "not_after": real.not_after.isoformat() if real else None,
        "renew_at": due(real, observed.renewals)[0].isoformat() if real and spec and not real.brought else None,
        "suggested": _suggested(real, observed) if real and spec else None,
        "serial": real.serial if real else None,
        "version": real.version if real else None,
        "damaged": observed.damaged.get(name),
        "exports": [_export(export, held, observed) for export in (spec.exports if spec else ())],
        "doing": _job(job) if job else None,
        "failure": _failure(attempt) if attempt else None,
    }


def _export(export: Export, held: Held | None, observed: Observed) -> dict[str, Any]:
    """
    Say how a copy for another program stands: `current`, or to be made, or `waiting` for a certificate to copy.
    """
    attempt = observed.attempts.get(export_key(export))
    state = "due"
    if held is None or held.placeholder:
        state = "waiting"
    elif is_current(held, export, observed):
        state = "current"
    return {
        "place": export.place,
        "format": export.format,
        "state": state,
        "failure": _failure(attempt) if attempt and state == "due" else None,
    }


def _suggested(held: Held, observed: Observed) -> dict[str, Any] | None:
    """
    Say when the CA would have a certificate renewed (RFC 9773), and where it says why.
    """
    choice = observed.renewals.get(held.name)
    if choice is None or choice.window is None or choice.certificate != identifier(held):
        return None
    return {
        "start": choice.window.start.isoformat(),
        "end": choice.window.end.isoformat(),
        "chosen": choice.moment.isoformat() if choice.moment else None,
        "explanation": choice.explanation,
    }


def _ca(spec: CertificateSpec | None, held: Held | None) -> str | None:
    """
    Say whose a certificate is, of those who are asked for it, else of whom one will be asked first.
    """
    if spec is None:
        return held.issuer if held else None
    return held.issuer if held and held.issuer in map(str, spec.issuers) else str(spec.issuer)


def _state(held: Held | None, now: dt.datetime, *, used: bool, stood_in: bool) -> str:
    if not used:
        return "unused"
    if held is None or held.placeholder:
        return "placeholder" if stood_in else "missing"
    return "expired" if now >= held.not_after else "valid"


def _job(job: Job) -> dict[str, Any]:
    return {"step": job.step, "since": job.since.isoformat(), "step_since": (job.step_since or job.since).isoformat()}


def _failure(attempt: Attempt) -> dict[str, Any]:
    return {
        "error.type": attempt.problem.type,
        "error.detail": str(attempt.problem),
        "at": attempt.at.isoformat(),
        "retry_at": attempt.retry_at.isoformat(),
        "failures": attempt.failures,
    }
