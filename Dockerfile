# Gatelodge in an image, with the nginx of the base beside it. docs/container.md says how it is run.
#
#   docker build -t gatelodge .
#   podman build --format docker -t gatelodge .      # the OCI format knows no HEALTHCHECK
#
# BASE is an image of Debian 12 or newer. The official nginx is one, and new enough (1.27.3) to go on looking up the names of
# upstreams, which change their addresses when containers are made anew. A base without nginx gets Debian's.
ARG BASE=nginx:stable

FROM ${BASE} AS builder
# Where Debian's packages and Python's come from, when not from where the base and pip have them. A Debian mirror is named by the
# URL that ends in /debian; its security updates are looked for in /debian-security beside it.
ARG DEBIAN_MIRROR
ARG PIP_INDEX_URL
# lexicon: the DNS providers of dns-lexicon. nginx: the newest nginx, of Python's package index, for a base without one.
ARG EXTRAS=lexicon
COPY docker/packages /build/packages
RUN /build/packages python3-venv ca-certificates
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY daemon ./daemon
# An empty setting is none. What installs packages is not needed where nothing is installed any more.
RUN set -eu; \
    if [ -z "${PIP_INDEX_URL:-}" ]; then unset PIP_INDEX_URL; fi; \
    python3 -m venv /opt/gatelodge; \
    /opt/gatelodge/bin/pip install --no-cache-dir --disable-pip-version-check ".${EXTRAS:+[$EXTRAS]}"; \
    /opt/gatelodge/bin/pip uninstall --yes --quiet setuptools pip; \
    rm -f /opt/gatelodge/bin/activate* /opt/gatelodge/bin/Activate*

FROM ${BASE}
ARG DEBIAN_MIRROR
ARG EXTRAS=lexicon
COPY docker/packages /usr/local/lib/gatelodge/packages
# setpriv is in util-linux; tzdata is for TZ. The runtime folder is open to whichever user the container gets.
RUN set -eu; \
    nginx=; \
    case ",$EXTRAS," in *,nginx,*) ;; *) command -v nginx >/dev/null || nginx="nginx-light libnginx-mod-stream" ;; esac; \
    /usr/local/lib/gatelodge/packages python3 ca-certificates tzdata util-linux $nginx; \
    groupadd --gid 1000 gatelodge; \
    useradd --uid 1000 --gid gatelodge --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin gatelodge; \
    install -d -m 0711 -o gatelodge -g gatelodge /var/lib/gatelodge; \
    install -d -m 1777 /run/gatelodge; \
    install -d /config; \
    ln -s /opt/gatelodge/bin/gatelodge /usr/local/bin/gatelodge
COPY --from=builder /opt/gatelodge /opt/gatelodge
COPY config.example.toml /usr/local/lib/gatelodge/
COPY docker/entrypoint docker/healthcheck.py /usr/local/lib/gatelodge/

ENV GATELODGE_CONFIG=/config/gatelodge.toml \
    HOME=/tmp \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
WORKDIR /
VOLUME /var/lib/gatelodge
EXPOSE 80 443
STOPSIGNAL SIGTERM
# Unhealthy is a daemon that does not answer, or an nginx that does not run. A CA that is down is neither.
HEALTHCHECK --interval=60s --timeout=15s --start-period=60s --retries=3 \
    CMD ["/usr/local/lib/gatelodge/healthcheck.py"]
ENTRYPOINT ["/usr/local/lib/gatelodge/entrypoint"]
CMD ["run"]
