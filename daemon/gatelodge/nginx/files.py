"""
Decides how nginx hands out files where `http {}` is ours: what kind each is called, and how it is sent.
"""

from __future__ import annotations

from gatelodge.nginx.quote import block, line

#: Kinds of files by the ends of their names (https://www.iana.org/assignments/media-types/).
_TYPES = (
    ("text/html", "html htm"),
    ("text/css", "css"),
    ("text/javascript", "js mjs"),
    ("text/plain", "txt log"),
    ("text/markdown", "md"),
    ("text/csv", "csv"),
    ("text/calendar", "ics"),
    ("text/vtt", "vtt"),
    ("application/json", "json map"),
    ("application/manifest+json", "webmanifest"),
    ("application/xml", "xml"),
    ("application/atom+xml", "atom"),
    ("application/rss+xml", "rss"),
    ("application/pdf", "pdf"),
    ("application/wasm", "wasm"),
    ("application/zip", "zip"),
    ("application/gzip", "gz tgz"),
    ("application/epub+zip", "epub"),
    ("image/avif", "avif"),
    ("image/gif", "gif"),
    ("image/jpeg", "jpg jpeg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg svgz"),
    ("image/webp", "webp"),
    ("image/x-icon", "ico"),
    ("font/otf", "otf"),
    ("font/ttf", "ttf"),
    ("font/woff", "woff"),
    ("font/woff2", "woff2"),
    ("audio/aac", "aac"),
    ("audio/flac", "flac"),
    ("audio/mpeg", "mp3"),
    ("audio/mp4", "m4a"),
    ("audio/ogg", "oga ogg opus"),
    ("audio/wav", "wav"),
    ("video/mp4", "mp4 m4v"),
    ("video/ogg", "ogv"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
    ("video/x-matroska", "mkv"),
)

FILES = (
    line("sendfile", "on"),
    line("tcp_nopush", "on"),
    line("default_type", "application/octet-stream"),
    block("types", inside=[line(kind, *ends.split()) for kind, ends in _TYPES]),
)
