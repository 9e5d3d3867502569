"""
Every command of the pages, and how it is tried. A page's new command is not here, and fails until somebody has said how.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """
    How a command is tried: `says` is a regular expression that its output holds, `status` its exit status (None: it depends on the network here), `answers` what is typed after it;
    one that `goes_on` is ended when it has said so. `gate`: it wants a daemon that runs. What cannot be run in a test of its own is
    run `elsewhere`: by a test, named by its file and function, or by a script. `leaves` is a file that is there afterwards, and not empty.
    """

    says: str = ""
    status: int | None = 0
    answers: str = ""
    goes_on: bool = False
    gate: bool = False
    elsewhere: str = ""
    leaves: str = ""


#: A machine that is nobody's: stand-ins for engines, systemd and root look at what is asked for (`tests.support.stand_in`).
HERE = Known()

KNOWN: Mapping[str, Known] = {
    # The daemon and its verbs, at a gate that runs.
    "gatelodge check": Known(says="good"),
    "gatelodge plan": Known(says="Nothing to do", gate=True),
    "gatelodge run": Known(
        says="daemon.started",
        goes_on=True,
        elsewhere="tests/live/test_daemon.py::test_two_services_get_certificates_and_a_third_is_added",
    ),
    "gatelodge status": Known(says="wiki.example.org", gate=True),
    "gatelodge status wiki.example.org": Known(says="address", gate=True),
    "gatelodge events -f": Known(says="certificate.issued|issued", goes_on=True, gate=True),
    "gatelodge events --since 2h --level warning": Known(gate=True),
    "gatelodge events --site wiki.example.org": Known(says="certificate.issued +wiki.example.org until 20", gate=True),
    "gatelodge events --certificate home --event 'certificate.*'": Known(gate=True),
    "gatelodge events --since 1d": Known(says="certificate.issued", gate=True),
    "gatelodge doctor": Known(says="Ports: port [0-9]+: nginx", status=None, gate=True),
    "gatelodge doctor --json": Known(says=r'"check": "ports"', status=None, gate=True),
    "gatelodge doctor --offline": Known(says="Ports: port [0-9]+: nginx", status=None, gate=True),
    "gatelodge doctor --no-write": Known(says="Ports: port [0-9]+: nginx", status=None, gate=True),
    "gatelodge ddns": Known(says=r"Public address: 1\.2\.3\.4", gate=True),
    "gatelodge renew wiki.example.org": Known(says="is not due before", status=1, gate=True),
    "gatelodge renew NAME --force": Known(says="is renewed, good until .*, and served", gate=True),
    "gatelodge revoke wiki.example.org": Known(says="is revoked, and another is there", gate=True),
    "gatelodge revoke NAME --reason keyCompromise": Known(says="is revoked, and another is there", gate=True),
    "gatelodge account show": Known(says="pebble: .*, valid", gate=True),
    "gatelodge account register": Known(says="the account at pebble is ", gate=True),
    "gatelodge account update --email you@example.org": Known(says="it writes to you@example.org", gate=True),
    "gatelodge account rollover": Known(says="has a new key", gate=True),
    "gatelodge account deactivate": Known(says="is given up", gate=True),
    "gatelodge reload": Known(says="nginx serves generation", gate=True),
    "gatelodge ca export -o root.pem": Known(leaves="root.pem", gate=True),
    "gatelodge presets nextcloud": Known(says="'trusted_domains'"),
    "gatelodge hash": Known(says=r"\$2y\$06\$", answers="a long password\n"),
    # What programs ask of the daemon.
    "curl -s --unix-socket /run/gatelodge/admin.sock http://gatelodge/v1/status": Known(
        says='"proven": true', gate=True
    ),
    'curl -s -H "Authorization: Bearer $(cat /etc/gatelodge/admin.token)" http://127.0.0.1:9180/readyz': Known(
        says='"ok": true', gate=True
    ),
    "curl -s --unix-socket /run/gatelodge/admin.sock http://gatelodge/metrics": Known(
        says=r"gatelodge_ready 1\.0", gate=True
    ),
    "curl -s --unix-socket /run/gatelodge/admin.sock http://gatelodge/v1/plan": Known(says='"actions": ', gate=True),
    "curl -s --unix-socket /run/gatelodge/admin.sock -X POST http://gatelodge/v1/certificates/wiki.example.org/renew": Known(
        says="is not due before", gate=True
    ),
    """curl -s --unix-socket /run/gatelodge/admin.sock -d '{"force": true}' http://gatelodge/v1/certificates/NAME/renew""": Known(
        says="is renewed, good until .*, and served", gate=True
    ),
    "curl -s --unix-socket /run/gatelodge/admin.sock -X POST http://gatelodge/v1/reload": Known(
        says="nginx serves generation", gate=True
    ),
    "curl -sN --unix-socket /run/gatelodge/admin.sock -H 'Accept: text/event-stream' 'http://gatelodge/v1/events?after=0'": Known(
        says=r"id: \d+\ndata: .*certificate\.issued", goes_on=True, gate=True
    ),
    # Moving in.
    "gatelodge init --from-certbot": Known(says=r"adopt = \".*/etc/letsencrypt/live/example.org\""),
    "gatelodge init --from-certbot /srv/certbot/conf": Known(says=r"adopt = \".*/srv/certbot/conf/live/example.org\""),
    "gatelodge init --from-swag /opt/appdata/swag": Known(
        says=r"credentials_file = \".*/opt/appdata/swag/dns-conf/aliyun.ini\""
    ),
    "gatelodge init --from-certbot > /etc/gatelodge/gatelodge.toml": Known(
        says="1 certificate", leaves="/etc/gatelodge/gatelodge.toml"
    ),
    # Backup and upgrade.
    "umask 077": HERE,
    "tar -C / -czf gatelodge-backup.tar.gz --exclude=var/lib/gatelodge/tmp --exclude=var/lib/gatelodge/log etc/gatelodge var/lib/gatelodge": Known(
        leaves="gatelodge-backup.tar.gz"
    ),
    "systemctl stop gatelodge": HERE,
    "tar -C / -xzf gatelodge-backup.tar.gz": HERE,
    "systemctl restart gatelodge": HERE,
    "docker compose restart nginx": HERE,
    # In containers.
    "docker build -t gatelodge .": HERE,
    "podman build --format docker -t gatelodge .": HERE,
    "docker build -t gatelodge --build-arg BASE=REGISTRY/nginx:stable --build-arg DEBIAN_MIRROR=http://MIRROR/debian --build-arg PIP_INDEX_URL=https://MIRROR/simple .": HERE,
    "mkdir -p gatelodge/config gatelodge/state && cd gatelodge": HERE,
    "mkdir -p gatelodge/config gatelodge/state gatelodge/conf.d && cd gatelodge": HERE,
    "cp …/docs/compose/all-in-one.yaml compose.yaml": HERE,
    "cp …/docs/compose/beside-nginx.yaml compose.yaml": HERE,
    "echo 'include /var/lib/gatelodge/nginx/current/http.con[f];' > conf.d/gatelodge.conf": HERE,
    "docker run --rm --entrypoint cat gatelodge /usr/local/lib/gatelodge/config.example.toml > config/gatelodge.toml": Known(
        leaves="config/gatelodge.toml"
    ),
    "$EDITOR config/gatelodge.toml": HERE,
    "docker compose run --rm gatelodge check": Known(says="good"),
    "docker compose up -d": HERE,
    "docker compose exec gatelodge gatelodge status": Known(says="wiki.example.org", gate=True),
    "docker compose -f host-nginx.yaml up -d": HERE,
    "docker run --rm gatelodge mailbox > /usr/local/lib/gatelodge/mailbox.sh": Known(
        leaves="/usr/local/lib/gatelodge/mailbox.sh"
    ),
    "install -d -o 1000 -g 1000 -m 0711 /var/lib/gatelodge": HERE,
    "install -d /usr/local/lib/gatelodge": HERE,
    "docker build -t gatelodge --build-arg DEBIAN_MIRROR=http://mirrors.aliyun.com/debian --build-arg PIP_INDEX_URL=https://mirrors.aliyun.com/pypi/simple .": HERE,
    # Under systemd.
    "$EDITOR /etc/gatelodge/gatelodge.toml": Known(leaves="/etc/gatelodge/gatelodge.toml"),
    "$EDITOR /etc/gatelodge/aliyun.ini": Known(leaves="/etc/gatelodge/aliyun.ini"),
    "chown root:gatelodge /etc/gatelodge/aliyun.ini": HERE,
    "chmod 640 /etc/gatelodge/aliyun.ini": HERE,
    "systemctl reload nginx": HERE,
    "systemctl start gatelodge": HERE,
    "systemctl status gatelodge": HERE,
    "systemctl enable --now gatelodge-nginx.path gatelodge-nginx.service": HERE,
    "journalctl -u gatelodge -o cat -f": HERE,
    # Packages.
    "pip install 'gatelodge[lexicon]'": HERE,
    "export PIP_INDEX_URL=https://mirrors.aliyun.com/pypi/simple": HERE,
    # From a checkout; the environment is a real one in tests/release.
    "python3 -m venv gatelodge-env": HERE,
    "gatelodge-env/bin/pip install '.[nginx]'": HERE,
    "$EDITOR gatelodge.toml": Known(leaves="gatelodge.toml"),
    "gatelodge-env/bin/gatelodge check -c gatelodge.toml": Known(says="gatelodge.toml: good"),
    "gatelodge-env/bin/gatelodge run -c gatelodge.toml": Known(
        elsewhere="tests/live/test_daemon.py::test_two_services_get_certificates_and_a_third_is_added"
    ),
    # The contract of a program of one's own.
    'sudo -u gatelodge env -i PATH="$PATH" GATELODGE_ACTION=add GATELODGE_ZONE=example.org GATELODGE_NAME=_acme-challenge.example.org GATELODGE_VALUE=test /usr/local/lib/gatelodge/publish add _acme-challenge.example.org test; echo "status $?"': Known(
        says="status 0"
    ),
    # A release.
    'git commit -a -m "Release VERSION"': HERE,
    'git tag -s vVERSION -m "Gatelodge VERSION"': HERE,
    "git push --follow-tags": HERE,
    "python3 -m venv look": HERE,
    "look/bin/pip install dist/gatelodge-VERSION-py3-none-any.whl": HERE,
    "look/bin/gatelodge --version": Known(says="gatelodge, version "),
    "look/bin/gatelodge check -c docs/examples/home-aliyun.toml": Known(says="good"),
    "gpg --armor --detach-sign dist/SHA256SUMS": HERE,
    "gpg --verify dist/SHA256SUMS.asc dist/SHA256SUMS": HERE,
    "docker build -t gatelodge:VERSION .": HERE,
    "docker run --rm gatelodge:VERSION --version": Known(says="gatelodge, version "),
    # Scripts of the checkout.
    "scripts/bench race --out race": Known(
        elsewhere="tests/benchmarks/test_words.py::test_what_the_pages_show_can_be_typed"
    ),
    "scripts/bench race --quick --out race": Known(
        elsewhere="tests/benchmarks/test_words.py::test_what_the_pages_show_can_be_typed"
    ),
    **{
        shown: Known(elsewhere="tests/benchmarks/test_words.py::test_what_the_pages_show_can_be_typed")
        for shown in (
            "scripts/simulate --years 3 --sites 20 --seeds 200 --jobs 2",
            "scripts/crash-test --times 300",
            "scripts/soak --minutes 10",
        )
    },
    "scripts/lint": Known(elsewhere=".ci/run"),
    "scripts/reference": Known(elsewhere="tests/docs/test_reference.py::test_it_is_up_to_date"),
    "scripts/release": Known(
        elsewhere="tests/release/test_release.py::test_a_release_stops_where_something_does_not_agree"
    ),
    "scripts/demo": Known(elsewhere="tests/live/test_demo.py::test_the_demo_shows_the_whole_job"),
    "scripts/test": Known(elsewhere=".ci/run"),
    "scripts/install --external": Known(
        elsewhere="tests/systemd/test_install_whole.py::test_it_installs_upgrades_and_removes"
    ),
    "scripts/install": Known(elsewhere="tests/systemd/test_install_whole.py::test_it_installs_upgrades_and_removes"),
}
