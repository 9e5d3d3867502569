"""
Finds the key by which requests to Alidns are signed: where the configuration says, and nowhere else.

The SDK's own search through the environment takes no part. A file is read again when it has changed. No text here holds a key.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from gatelodge import durable
from gatelodge.credentials import fetch
from gatelodge.dns.aliyun.key import Key, Keys, checked, missing
from gatelodge.dns.aliyun.role import RoleKeys
from gatelodge.errors import SecretMissing
from gatelodge.model import Secret, SecretRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatelodge.ports import Clock, Http

#: A line as certbot-dns-aliyun and its forks have it (https://github.com/tengattack/certbot-dns-aliyun): before 2.0 with the
#: plugin's name in front. certbot reads the file with ConfigObj, where text after " #" is a comment and quotes are none of it.
_LINE = re.compile(
    r"\s*(?:certbot[-_]dns[-_]aliyun:)?(?P<key>[A-Za-z_-]+)\s*=\s*"
    r"""(?P<quote>["']?)(?P<value>.*?)(?P=quote)\s*(?:\s[#;].*)?"""
)

#: How the two are called there, the usual name first.
_ID = ("dns_aliyun_access_key", "dns_aliyun_access_key_id", "aliyun_access_key", "access_key_id", "access_key")
_SECRET = ("dns_aliyun_access_key_secret", "aliyun_access_key_secret", "access_key_secret")

_MOST_BYTES = 64 * 1024


def keys_of(options: Mapping[str, object], *, http: Http, clock: Clock) -> Keys:
    """
    Return where a provider's options say that its key comes from.
    """
    match options:
        case {"ram_role": str(role)}:
            return RoleKeys(role, http=http, clock=clock)
        case {"credentials_file": str(file)}:
            return FileKeys(file)
        case _:
            return GivenKeys(options)


class GivenKeys:
    """
    Keys that the configuration names one by one.
    """

    def __init__(self, options: Mapping[str, object]) -> None:
        self._refs = {name: ref for name, ref in options.items() if isinstance(ref, SecretRef)}

    async def get(self) -> Key:
        """
        Return the key, as `Keys` says.
        """
        return Key(
            id=self._fetched("access_key_id"),
            secret=self._fetched("access_key_secret"),
            token=self._fetched("security_token") if "security_token" in self._refs else None,
        )

    def refused(self) -> bool:
        """
        A token in a file or the environment may have been replaced, as `Keys` says.
        """
        token = self._refs.get("security_token")
        return token is not None and token.literal is None

    def _fetched(self, name: str) -> Secret:
        try:
            return checked(fetch(self._refs[name]), name)
        except KeyError:
            raise missing(f"{name} is not given; write both access_key_id and access_key_secret") from None
        except SecretMissing as error:
            raise missing(f"{name}: {error}") from error


class FileKeys:
    """
    Keys in an `aliyun.ini`.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._known: tuple[tuple[int, int, int], Key] | None = None

    async def get(self) -> Key:
        """
        Return the key, as `Keys` says. The file is read only when it looks different.
        """
        return self._read()

    def refused(self) -> bool:
        """
        There is no token in it, as `Keys` says.
        """
        return False

    def _read(self) -> Key:
        try:
            found = Path(self._file).stat()
            mark = (found.st_mtime_ns, found.st_size, found.st_ino)
            if self._known is None or self._known[0] != mark:
                text = durable.read(Path(self._file), most=_MOST_BYTES).decode("utf-8-sig")
                self._known = (mark, _key(self._file, text))
        except OSError as error:
            raise missing(
                f"{self._file} cannot be read: {error.strerror}; make it readable by the daemon's user, and by nobody else"
            ) from error
        except UnicodeDecodeError:
            # Not "from" it: that one holds the bytes of the file.
            raise missing(f"{self._file} is not text; save it as UTF-8") from None
        return self._known[1]


def _key(file: str, text: str) -> Key:
    found = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match and match["value"]:
            found[match["key"].lower().replace("-", "_")] = match["value"]
    return Key(id=_value(file, found, _ID), secret=_value(file, found, _SECRET))


def _value(file: str, found: Mapping[str, str], names: tuple[str, ...]) -> Secret:
    name = next((name for name in names if name in found), None)
    if name is None:
        raise missing(f"{file} has no {names[0]}, or nothing after it; write a line {names[0]} = …")
    return checked(Secret(found[name]), f"{name} in {file}")
