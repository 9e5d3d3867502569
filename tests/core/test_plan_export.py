"""
When copies for other programs are made.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from tests.core.planning import NOW, held, placeholder, spec, wanting

from gatelodge.core.actions import ExportCertificate, describe, digest, tries
from gatelodge.core.observed import Attempt, Exported, Held, Job, Observed
from gatelodge.core.plan import plan
from gatelodge.errors import Problem
from gatelodge.model import CertificateSpec, Export

EXPORT = Export(directory="/srv/mail", command=("/bin/reload",))
WIKI = dataclasses.replace(spec("wiki.example.com"), exports=(EXPORT,))
HELD = held(WIKI)


def exporting(observed: Observed, wanted: CertificateSpec = WIKI) -> list[ExportCertificate]:
    """
    Return the copies that a plan makes.
    """
    actions = plan(wanting(wanted), observed, None, NOW).actions
    return [action for action in actions if isinstance(action, ExportCertificate)]


def seen(found: Held = HELD, made: Exported | None = None, **more: object) -> Observed:
    """
    What is, with a copy.
    """
    return Observed(held={WIKI.name: found}, exports={EXPORT.mark: made} if made else {}, **more)  # type: ignore[arg-type]


def test_a_copy_that_lacks_is_made() -> None:
    """
    And told in words: what, where to, and what is run.
    """
    (action,) = exporting(seen())

    assert action == ExportCertificate(held=HELD, export=EXPORT)
    assert describe(action) == "copy the certificate wiki.example.com to /srv/mail as pem, then run /bin/reload"


def test_a_copy_that_is_current_is_left_alone() -> None:
    """
    It is of this certificate, and as it is asked for.
    """
    assert exporting(seen(made=Exported(content=HELD.content, digest=EXPORT.digest))) == []


def test_a_renewed_certificate_and_another_wish_are_copied_again() -> None:
    """
    Either makes the copy out of date.
    """
    renewed = held(WIKI, version=2)
    other = dataclasses.replace(WIKI, exports=(dataclasses.replace(EXPORT, mode=0o600),))
    made = Exported(content=HELD.content, digest=EXPORT.digest)

    assert [action.held for action in exporting(seen(renewed, made))] == [renewed]
    assert len(exporting(seen(made=made), other)) == 1


def test_a_placeholder_is_never_copied() -> None:
    """
    Nor is nothing.
    """
    assert exporting(seen(placeholder(WIKI))) == []
    assert exporting(Observed()) == []


def test_what_failed_waits_and_what_runs_is_not_begun_again() -> None:
    """
    Until its time has come; then it is made, and the loop looks again at that moment.
    """
    (action,) = exporting(seen())
    attempt = Attempt(
        tries=tries(action),
        digest=digest(action),
        failures=1,
        problem=Problem(type="export", detail="no"),
        at=NOW,
        retry_at=NOW + dt.timedelta(minutes=1),
    )
    observed = seen(attempts={attempt.tries: attempt})
    later = plan(wanting(WIKI), observed, None, NOW + dt.timedelta(minutes=1)).actions

    assert exporting(observed) == []
    assert plan(wanting(WIKI), observed, None, NOW).look_at <= attempt.retry_at
    assert action in later
    running = Job(key=tries(action), digest=digest(action), since=NOW)
    assert exporting(seen(jobs={running.key: running})) == []
