"""
Writes what was found as the TOML of Gatelodge, with a comment for each decision.

The same things found give the same text. What is held back is written too, as a comment to be uncommented.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gatelodge.config.catalog import BUILT_IN
from gatelodge.importing.found import InFile
from gatelodge.importing.toml_text import comment, key, listed, shown, string, strings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gatelodge.importing.found import Found, FoundCertificate, FoundDns, FoundSite

#: How each tool is stopped, and how it is started again.
_STOP: Mapping[str, str] = {
    "certbot": "Stop certbot from renewing: `systemctl disable --now certbot.timer` (of the snap: snap.certbot.renew.timer; else its "
    "line in a crontab). Stop the web server that has the ports 80 and 443: Gatelodge runs an nginx of its own.",
    "SWAG": "Stop SWAG's container: `docker stop swag` (whatever it is called). Do not change its variables before: it revokes its "
    "certificate then. Give its ports to Gatelodge.",
}

_MEANWHILE = "certificates from there are shown until Gatelodge has its own, and with them you can go back"
_WAY_BACK = "with it you can go back"


def render(found: Found) -> str:
    """
    Return the TOML.
    """
    lines = [*_header(found), "", *_acme(found)]
    for name, directory in sorted(found.authorities.items()):
        lines += ["", f"[{key('acme', 'cas', name)}]", f"directory = {string(directory)}"]
        lines += ['# root = "/path/to/root.pem"      # when its own HTTPS is trusted by a root of its own']
    for provider in found.dns:
        lines += ["", *_dns(provider)]
    lines += ["", *_nginx(found)]
    default = _default(found)
    for certificate in found.certificates:
        lines += ["", *_held(_certificate(certificate, default), certificate.held)]
    lines += ["", *_sites(found)]
    return "\n".join(lines) + "\n"


def _header(found: Found) -> Iterator[str]:
    directory = shown(found.directory)
    meanwhile = _MEANWHILE if any(each.adopt and each.held is None for each in found.certificates) else _WAY_BACK
    option = "--from-certbot" if found.tool == "certbot" else "--from-swag"
    yield from comment(
        f"Gatelodge: what `gatelodge init {option}` found in {directory}. Nothing was changed there. "
        "docs/moving.md tells more."
    )
    yield "#"
    steps = (
        "Save this as /etc/gatelodge/gatelodge.toml, read it, and mend what is not right.",
        "`gatelodge check` tells mistakes, `gatelodge plan` what would be done.",
        _STOP[found.tool],
        f"`gatelodge run`, and see `gatelodge status`. Leave {directory} as it is until all is well: {meanwhile}.",
    )
    for number, step in enumerate(steps, 1):
        yield from comment(step, first=f"# {number}. ", then="#    ")
    if found.left:
        yield "#"
        yield from comment("Not taken over:")
        for left in sorted(found.left, key=lambda left: not left.guards):
            mark = "ATTENTION, open to everybody if you add it as it is: " if left.guards else ""
            yield from comment(f"{mark}{left.what}: {left.why}.", first="# - ", then="#   ")


def _acme(found: Found) -> Iterator[str]:
    yield "[acme]"
    yield from comment(
        f"{found.tool} has told the CA that you agree to its terms. Gatelodge makes an account of its own, and with this line "
        "you agree again: https://letsencrypt.org/repository/"
    )
    yield "agree_tos = true"
    yield f"email = {string(found.email)}" if found.email else '# email = "you@example.org"'
    ca = _default(found)
    if ca != BUILT_IN.default:
        yield f"ca = {string(ca)}"
    if ca == "letsencrypt-staging":
        yield from comment(
            "The test CA, as before: no browser trusts its certificates. Take the line away for real ones."
        )
    if found.webroot:
        yield from comment("Where the CA's tokens were put before. Without it they are put into the state directory.")
        yield f"webroot = {string(found.webroot)}"


def _default(found: Found) -> str:
    """
    Return the CA that most certificates come from.
    """
    asked = Counter(each.ca for each in found.certificates if each.held is None)
    return max(asked, key=lambda ca: (asked[ca], ca == BUILT_IN.default, ca)) if asked else BUILT_IN.default


def _dns(provider: FoundDns) -> Iterator[str]:
    for remark in provider.remarks:
        yield from comment(remark)
    yield f"[{key('dns', provider.name)}]"
    yield f"provider = {string(provider.provider)}"
    yield from (f"{key(name)} = {_value(value)}" for name, value in provider.options.items())
    if provider.inner:
        yield ""
        yield f"[{key('dns', provider.name, 'options')}]"
        yield from (f"{key(name)} = {_value(value)}" for name, value in provider.inner.items())


def _value(value: str | InFile) -> str:
    return f"{{ file = {string(value.file)} }}" if isinstance(value, InFile) else string(value)


def _nginx(found: Found) -> Iterator[str]:
    if found.tool == "SWAG":
        yield from comment(
            "The ports that visitors type are not written down in SWAG's folder. With `-p 8088:80 -p 2443:443` it would be:"
        )
    else:
        yield from comment("Where visitors come by other ports than 80 and 443, since a router forwards them:")
    yield "# [nginx]"
    yield "# public_http_port = 8088"
    yield "# public_https_port = 2443"


def _certificate(certificate: FoundCertificate, default: str) -> Iterator[str]:
    for remark in certificate.remarks:
        yield from comment(remark)
    yield f"[{key('certificates', certificate.name)}]"
    yield f"names = {listed(certificate.names)}"
    if certificate.ca != default:
        yield f"ca = {string(certificate.ca)}"
    if certificate.key:
        yield f"key = {string(certificate.key)}"
    if certificate.profile:
        yield f"profile = {string(certificate.profile)}"
    if certificate.challenge:
        yield f"challenge = {strings(certificate.challenge)}"
    yield from _adopt(certificate)


def _adopt(certificate: FoundCertificate) -> Iterator[str]:
    """
    Write that the certificate which is there is served until there is another.
    """
    if certificate.adopt is not None:
        yield f"adopt = {string(certificate.adopt)}"


def _sites(found: Found) -> Iterator[str]:
    served = [site for site in found.sites if site.held is None]
    if found.tool == "SWAG" and found.sites:
        yield from comment(
            "Names such as http://nextcloud:80 are those of containers: Gatelodge must be on their Docker network, as SWAG was. "
            "Elsewhere write addresses that it can reach."
        )
    if not found.sites:
        yield from comment(
            f"{found.tool} knows no services, or none that are sure. Write your own, each with where it listens:"
        )
        yield "# [sites]"
        host = next((name for each in found.certificates for name in each.names if name[0] not in "*0123456789"), None)
        yield f"# {key(shown(host or 'wiki.example.org'))} = {string('http://127.0.0.1:3000')}"
        return
    short = [site for site in served if _is_short(site)]
    if short:
        yield "[sites]"
        for site in short:
            for remark in site.remarks:
                yield from comment(remark)
            yield f"{key(site.hosts[0])} = {string(site.upstream or '')}"
    for site in found.sites:
        if site.held is not None or not _is_short(site):
            yield ""
            yield from _held(_site(site), site.held)


def _is_short(site: FoundSite) -> bool:
    return len(site.hosts) == 1 and not site.routes and site.body_size is None and site.upstream is not None


def _site(site: FoundSite) -> Iterator[str]:
    for remark in site.remarks:
        yield from comment(remark)
    yield f"[{key('sites', site.hosts[0])}]"
    if site.hosts[1:]:
        yield f"hosts = {listed(site.hosts[1:])}"
    if site.upstream:
        yield f"upstream = {string(site.upstream)}"
    if site.body_size:
        yield f"body_size = {string(site.body_size)}"
    yield from (f"{key('routes', path)} = {string(upstream)}" for path, upstream in site.routes.items())


def _held(lines: Iterator[str], why: str | None) -> Iterator[str]:
    """
    Write a table, as a comment with the reason when it is held back.
    """
    if why is None:
        yield from lines
        return
    yield from comment(f"Held back: {why}.")
    for line in "\n".join(lines).split("\n"):
        yield line if line.startswith("#") else f"# {line}"


def counted(found: Found) -> str:
    """
    Say in one line what was found.
    """
    asked = [each for each in found.certificates if each.held is None]
    served = [each for each in found.sites if each.held is None]
    held = len(found.certificates) + len(found.sites) - len(asked) - len(served)
    return (
        f"{len(asked)} certificate(s) and {len(served)} site(s) taken over, {held} held back, "
        f"{len(found.left)} other thing(s) not taken over"
    )
