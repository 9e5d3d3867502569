"""
Every event there is, as a table: at which levels it is told, when, with which fields, and what a person reads of it first.

Names and fields are an interface. What is emitted and what stands here are held against each other by tests, and docs/events.md is made of
it (`scripts/reference`). It decides nothing.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from gatelodge.model.log import Level

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One kind of event. `fields` are told besides those that every event has; `line` is what a person reads first, with fields in braces: those that
    are not in it follow by name. A word in brackets is left out together with a field in it that has no value.
    """

    when: str
    levels: tuple[Level, ...] = (Level.INFO,)
    fields: tuple[str, ...] = ()
    line: str = ""


_WARNING = (Level.WARNING,)
_ERROR = (Level.ERROR,)

#: What is told of a job that failed.
_FAILURE = ("doing", "error.type", "error.detail", "failures", "retry_at")
_CLASSED = (*_FAILURE, "failure")
_TRIED = "[{doing}: ]{error.detail}[; failed {failures} times][, next try {retry_at}]"
_ISSUED = ("certificate", "names", "ca", "reason", "not_after", "serial", "lacking")
_RECORD = ("provider", "zone", "record", "type")
_RECORDS = ("provider", "records", "error.detail")
_SERVED = ("generation", "sites", "reason")

EVENTS: Mapping[str, Event] = {
    "daemon.started": Event(
        when="the daemon begins",
        fields=("version", "pid", "file", "sites", "warnings"),
        line="{version}, {sites} sites in {file}[; {warnings}]",
    ),
    "daemon.stopped": Event(when="it ends on a signal", fields=("nginx",), line="nginx is {nginx}"),
    "config.loaded": Event(
        when="a changed configuration is in force; `added` and `removed` name sites, and streams as `stream:NAME`",
        fields=("file", "sites", "added", "removed", "warnings"),
        line="{file}, {sites} sites[, new {added}][, gone {removed}][; {warnings}]",
    ),
    "config.refused": Event(
        when="a changed configuration has mistakes; the old one goes on",
        levels=_ERROR,
        fields=("mistakes", "error.detail"),
        line="the old one goes on[: {mistakes}][: {error.detail}]",
    ),
    "account.registered": Event(when="an ACME account was made", fields=("ca", "url"), line="at {ca}"),
    "account.key_changed": Event(when="the account has another key", fields=("ca", "url"), line="at {ca}"),
    "account.deactivated": Event(when="the account was given up for good", fields=("ca", "url"), line="at {ca}"),
    "certificate.issued": Event(
        when="a site's first certificate is stored",
        fields=_ISSUED,
        line="{certificate} until {not_after} ({ca})[, without {lacking}]",
    ),
    "certificate.renewed": Event(
        when="another one is stored in its place",
        fields=_ISSUED,
        line="{certificate} until {not_after} ({ca})[, without {lacking}]",
    ),
    "certificate.adopted": Event(
        when="another tool's certificate is served until ours is there",
        fields=("certificate", "names", "directory", "not_after", "serial"),
        line="{certificate} until {not_after}, from {directory}",
    ),
    "certificate.taken": Event(
        when="a certificate in files of the user's is stored, since they are new or hold another",
        fields=("certificate", "names", "reason", "not_after", "serial"),
        line="{certificate} until {not_after}",
    ),
    "certificate.other_chain": Event(
        when="the CA offers no chain to the preferred root; the certificate came with its own choice",
        levels=_WARNING,
        fields=("certificate", "ca", "preferred_chain", "root"),
        line="{certificate}: {ca} has no chain to {preferred_chain}; this one leads to {root}",
    ),
    "certificate.renewal.moved": Event(
        when="its CA wants a certificate replaced now that it meant to let live longer, as before a revocation",
        levels=_WARNING,
        fields=("certificate", "ca", "serial", "not_after", "window_end", "explanation"),
        line="{certificate}: {ca} wants it replaced before {window_end}[: {explanation}]",
    ),
    "certificate.elsewhere": Event(
        when="another CA is asked than the one before it in order (`left`), which failed",
        levels=_WARNING,
        fields=("certificate", "ca", "left", "error.type", "error.detail", "retry_at"),
        line="{certificate}: {ca} is asked, since {left} failed: {error.detail}",
    ),
    "certificate.failed": Event(
        when="it could not be had, stored or deleted",
        levels=_ERROR,
        fields=("certificate", "names", "ca", *_CLASSED),
        line="{certificate}[ ({ca})]: {error.detail}[; failed {failures} times][, next try {retry_at}]",
    ),
    "certificate.expiring": Event(
        when="it was not renewed, and of the time from when that was due (`due_at`) to its end an eighth, a quarter (warnings), half, three "
        "quarters, seven eighths or all is gone; one of the user's own: a quarter, an eighth, a sixteenth of its life is left, or none",
        levels=(Level.WARNING, Level.ERROR),
        fields=("certificate", "names", "not_after", "alarm", "due_at", "days_left", "error.detail"),
        line="{certificate} ends {not_after}, in {days_left} days[: {error.detail}]",
    ),
    "certificate.revoked": Event(
        when="its CA revoked it, since somebody asked for that; it is served until another is there",
        levels=_WARNING,
        fields=("certificate", "names", "ca", "serial", "reason"),
        line="{certificate} by {ca} ({reason})",
    ),
    "certificate.exported": Event(
        when="a copy of it was made for another program, whose command has run",
        fields=("certificate", "place", "format", "not_after", "serial"),
        line="{certificate} to {place} as {format}",
    ),
    "certificate.export.failed": Event(
        when="a copy could not be written, or its command failed; the certificate itself is served",
        levels=_ERROR,
        fields=("certificate", "place", *_CLASSED),
        line="{certificate}: {error.detail}[; failed {failures} times][, next try {retry_at}]",
    ),
    "certificate.deleted": Event(
        when="unused and long expired, or forgotten", fields=("certificate",), line="{certificate}"
    ),
    "ca.kept": Event(
        when="`[ca]` gives the local CA another name than that of the root which is there; nothing changes",
        levels=_WARNING,
        fields=("error.detail",),
        line="{error.detail}",
    ),
    "dns.record.added": Event(
        when="a DNS provider took a record of ours", fields=_RECORD, line="{type} {record} at {provider}"
    ),
    "dns.record.removed": Event(
        when="a DNS provider gave it up again", fields=_RECORD, line="{type} {record} at {provider}"
    ),
    "dns.record.left": Event(
        when="records could not be taken away now; they are swept later",
        levels=_WARNING,
        fields=_RECORDS,
        line="{records} at {provider}: {error.detail}",
    ),
    "dns.record.orphaned": Event(
        when="records of ours are left at a provider that is not in the configuration any more",
        levels=_WARNING,
        fields=_RECORDS,
        line="{records} at {provider}: {error.detail}",
    ),
    "dns.sweep.failed": Event(
        when="records that were left could not be taken away",
        levels=_ERROR,
        fields=("provider", "records", *_CLASSED),
        line="{records} at {provider}: {error.detail}[; failed {failures} times][, next try {retry_at}]",
    ),
    "address.changed": Event(
        when="dynamic DNS wrote an address",
        fields=("host", "type", "before", "after", "provider", "zone"),
        line="{host} is {after} now[, was {before}]",
    ),
    "address.left_alone": Event(
        when="somebody else set this name; told once, also over restarts",
        levels=_WARNING,
        fields=("host", "type", "error.detail"),
        line="{error.detail}",
    ),
    "address.unseen": Event(
        when="an address was written, and some name server does not have it yet",
        levels=_WARNING,
        fields=("host", "type", "after", "error.detail"),
        line="{error.detail}",
    ),
    "address.failed": Event(
        when="dynamic DNS could not look or write; with `host` and `type` when it is about one host or family",
        levels=_ERROR,
        fields=("provider", "host", "type", *_CLASSED),
        line=_TRIED,
    ),
    "nginx.started": Event(
        when="nginx serves", fields=_SERVED, line="[generation {generation}][, {sites} sites][: {reason}]"
    ),
    "nginx.reloaded": Event(
        when="nginx was seen to serve a new generation",
        fields=_SERVED,
        line="generation {generation}, {sites} sites: {reason}",
    ),
    "nginx.rolled_back": Event(when="an unproven generation gave way to the last proven one", levels=_WARNING),
    "nginx.refused": Event(
        when="nginx refused a configuration and no site is to blame", levels=_ERROR, fields=_FAILURE, line=_TRIED
    ),
    "nginx.unproven": Event(
        when="nginx took a configuration and did not come to serve it; the last one is back",
        levels=_ERROR,
        fields=_FAILURE,
        line=_TRIED,
    ),
    "nginx.failed": Event(when="nginx could not be started or asked", levels=_ERROR, fields=_FAILURE, line=_TRIED),
    "nginx.missing": Event(
        when="there is no nginx to run", levels=_ERROR, fields=("error.detail",), line="{error.detail}"
    ),
    "nginx.exited": Event(
        when="nginx ended by itself; it is started again, at once when it ran for a while. `failures` counts starts in a row that did not last",
        levels=_ERROR,
        fields=("failures", "retry_at"),
        line="[{failures} starts in a row did not last][, next try {retry_at}]",
    ),
    "nginx.unreachable": Event(
        when="an nginx that others run does not answer any more",
        levels=_ERROR,
        fields=("error.detail",),
        line="{error.detail}",
    ),
    "nginx.reachable": Event(when="it answers again"),
    "site.quarantined": Event(
        when="nginx refuses one site's text; the others go on",
        levels=_ERROR,
        fields=("site", "error.detail", "serving", "retry_at"),
        line="{site} gets {serving}: {error.detail}[; next try {retry_at}]",
    ),
    "site.released": Event(when="that site is served as configured again", fields=("site",), line="{site}"),
    "stream.quarantined": Event(
        when="nginx refuses one stream's text, cannot have it, or does not show its certificate; the others go on",
        levels=_ERROR,
        fields=("stream", "error.detail", "serving", "retry_at"),
        line="{stream} gets {serving}: {error.detail}[; next try {retry_at}]",
    ),
    "stream.released": Event(when="that stream is served as configured again", fields=("stream",), line="{stream}"),
    "notify.failed": Event(
        when="a message could not be sent; it is tried again (a warning), or was given up (an error, without `retry_at`)",
        levels=(Level.WARNING, Level.ERROR),
        fields=("target", "messages", "error.detail", "failures", "retry_at"),
        line="{target}: {error.detail}[; failed {failures} times][, next try {retry_at}]",
    ),
    "hook.failed": Event(
        when="a program could not be run for an event, failed, or took too long; it is not run for it again",
        levels=_ERROR,
        fields=("hook", "told", "event_id", "error.detail"),
        line="{hook} for {told}: {error.detail}",
    ),
    "clock.doubted": Event(
        when="the clock is far from the CA's, behind what was done before, or was set while no CA answers; issuance pauses",
        levels=_WARNING,
        fields=("reason",),
        line="{reason}",
    ),
    "clock.trusted": Event(when="it is believed again"),
    "state.warning": Event(
        when="a folder's mode or owner was wrong and is mended, or nginx's workers cannot reach the state directory",
        levels=_WARNING,
        fields=("error.detail",),
        line="{error.detail}",
    ),
    "state.damaged": Event(
        when="a document of the journal cannot be read and is passed over",
        levels=_WARNING,
        fields=("path", "error.detail"),
        line="{path}: {error.detail}",
    ),
    "state.failed": Event(
        when="the state directory cannot be read or written",
        levels=_ERROR,
        fields=("error.detail",),
        line="{error.detail}",
    ),
    "admin.listening": Event(when="the admin service answers at an address", fields=("address",), line="{address}"),
    "admin.unavailable": Event(
        when="the admin service cannot be had where the configuration says; `sockets` and `listen` list where it is",
        levels=_WARNING,
        fields=("error.detail", "sockets", "listen"),
        line="{error.detail}",
    ),
    "admin.failed": Event(
        when="a request to the admin service met a defect of Gatelodge",
        levels=_ERROR,
        fields=("error.type", "error.detail"),
        line="{error.detail}",
    ),
    "job.failed": Event(when="tidying up failed", levels=_ERROR, fields=_FAILURE, line=_TRIED),
    "library.error": Event(
        when="a library reported an error",
        levels=_ERROR,
        fields=("logger", "error.detail"),
        line="{logger}: {error.detail}",
    ),
}

#: What every event has.
COMMON: Mapping[str, str] = {
    "id": "grows by one with each event, over all files and restarts",
    "time": "RFC 3339, UTC, to the millisecond",
    "level": "`info`, `warning` or `error`",
    "event": "its name, as above",
}

#: What any event may have on stderr.
LOG_ERROR = "log.error"

#: What the other fields are, whichever event has them.
FIELDS: Mapping[str, str] = {
    "added": "list of sites and streams that the configuration had not before",
    "address": "an address with its port",
    "after": "the address that is there now",
    "alarm": "how many of those marks it has passed",
    "before": "the address that was there; null for none",
    "ca": "of whom a certificate is: `acme:` and the name of a CA in the configuration, `local`, `files` …; of an account, the CA's name",
    "certificate": "the certificate's NAME: its key in `[certificates]`, else the site's first host (`*.` written `wildcard.`)",
    "days_left": "days until it ends, to a tenth; 0 when it has",
    "directory": "the folder that was adopted",
    "doing": "what was tried, in words",
    "due_at": "when it should have been renewed, RFC 3339; null for one of the user's own",
    "error.detail": "what happened, to which name, why, and what to do; for people. On one line or several",
    "error.type": "of what kind the trouble is: a type of the CA's (RFC 8555 §6.7), or one of those below",
    "event_id": "the id of the event that it was about",
    "explanation": "the CA's page about why; null when it names none",
    "failure": "its class, by who can mend it: `credentials`, `policy`, `caa`, `dns`, `reachability`, `ours`, `rate_limit` or `ca_down`",
    "failures": "how many times in a row it has failed",
    "file": "the configuration file",
    "format": "the form of a copy: `pem`, `pem-bundle` or `pkcs12`",
    "generation": "the number of the nginx configuration, as in `nginx/generations`",
    "hook": "the name of the `[[hook]]`",
    "host": "the host name whose address it is",
    "lacking": "list of names that were refused, where a part is wanted (`on_bad_name`); null when none is lacking",
    "left": "the CA that failed, as in `ca`",
    "listen": "list of addresses, with their ports, at which the admin service answers",
    "logger": "the part of the library that spoke",
    "messages": "how many messages",
    "mistakes": "list of texts: each mistake with its line and remedy",
    "names": "list of the names that the certificate is for",
    "nginx": "what became of nginx: `left running` or `stopped`",
    "not_after": "when the certificate ends, RFC 3339",
    "path": "a file in the state directory",
    "pid": "the daemon's process",
    "place": "the folder or file of a copy",
    "preferred_chain": "the root that `preferred_chain` asks for",
    "provider": "the NAME of the `[dns.NAME]`",
    "reason": "why it was done, or why the clock is doubted, in words",
    "record": "the name of a DNS record",
    "records": "list of names of DNS records",
    "removed": "list of sites and streams that the configuration does not have any more",
    "retry_at": "when it is tried again, RFC 3339",
    "root": "the common name of the root that the chain leads to",
    "serial": "the certificate's serial number, hexadecimal",
    "serving": "what visitors get instead: `its last good configuration`, `503` (a site) or `nothing` (a stream)",
    "site": "the site's first host",
    "sites": "how many sites the configuration has",
    "sockets": "list of paths at which the admin service answers",
    "stream": "the stream's NAME",
    "target": "the name of the `[[notify]]`",
    "told": "the event that it was about",
    "type": "the kind of a DNS record: `TXT`, `A` or `AAAA`",
    "url": "the account's address at the CA",
    "version": "Gatelodge's version",
    "warnings": "list of texts: what `gatelodge check` warns of",
    "window_end": "until when the CA wants it replaced, RFC 3339",
    "zone": "the zone that the DNS record is in",
}

#: The values of `error.type` that are ours.
PROBLEMS: Mapping[str, str] = {
    "unreachable": "the CA cannot be reached",
    "timeout": "the CA did not come to an end in time",
    "badAnswer": "the CA's answer makes no sense",
    "selfCheck": "what the CA would look for is not found from here; it was not asked",
    "noSolver": "there is no way to prove a name with what is configured",
    "unsupported": "the CA has no such service",
    "externalAccount": "the CA, or its key, refuses to bind an account",
    "budget": "a rate limit of the CA is used up by our own count, or the CA closed it; it was not asked",
    "ephemeral": "the state directory is gone at the next start, so that nothing is ordered",
    "adopt": "another tool's certificate cannot be used",
    "export": "a copy for another program was not made, or its command failed",
    "files": "the user's own: what is wrong with them, and what to do",
    "state": "the state directory cannot be used",
    "nginx": "nginx cannot be started or asked",
    "nginxRefused": "nginx refused a configuration",
    "nginxUnproven": "nginx took a configuration and does not serve it",
    "nginxEnded": "nginx ended by itself soon after it was started",
    "internal": "a defect of Gatelodge's, or trouble on this machine",
    "dnsCredentials": "the DNS provider refuses the credentials",
    "dnsProvider": "the DNS provider is in trouble; it passes by itself",
    "dnsZone": "the zone is not there, or is not the account's",
    "dnsRecord": "a record cannot be as it must",
    "dnsDelegation": "the public name servers are others than the provider's, or an alias leads elsewhere",
    "propagation": "some name server lacks the record",
}
