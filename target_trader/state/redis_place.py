"""Where in which Redis a state lies: the URL, the name of the state, its keys.

`redis://[user:password@]host:port/DB/NAME`, `rediss://` the same over TLS, or `unix://` with
`?name=NAME`. The name keeps two accounts or strategies apart that share one Redis. A password is
never shown: every message takes `shown`.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from target_trader.errors import TraderError

SCHEMES = ("redis", "rediss", "unix")
PREFIX = "target_trader"
DEFAULT_NAME = "ps60"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
SECRET_FIELDS = ("password", "username")


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """A state's place.

    Attributes:
        url: what the client connects to, with the password.
        shown: the same for a person, without it.
        name: the name of the state, part of every key.
    """

    url: str
    shown: str
    name: str

    def key(self, what: str) -> str:
        """Return the key of one thing of this state, `target_trader:ps60:state`."""
        return f"{PREFIX}:{self.name}:{what}"


def parse_place(text: str) -> RedisPlace:
    """Read a URL.

    Raises:
        TraderError: it is none that this bot can use; shows it without its password.
    """
    shown = redacted(text)
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise TraderError(f"the Redis URL {shown} cannot be read: {error}") from error
    if parts.scheme not in SCHEMES:
        raise TraderError(
            f"the Redis URL {shown} does not begin with redis://, rediss:// or unix://; "
            "an example is redis://127.0.0.1:6379/0/my-account"
        )
    query = dict(parse_qsl(parts.query))
    name = query.pop("name", DEFAULT_NAME)
    path = parts.path
    if parts.scheme != "unix":
        segments = [segment for segment in path.split("/") if segment]
        database = segments.pop(0) if segments and segments[0].isdigit() else "0"
        if len(segments) > 1:
            raise TraderError(f"the Redis URL {shown} has more after its host than /DB/NAME")
        name = segments[0] if segments else name
        path = f"/{database}"
    if not NAME.fullmatch(name):
        raise TraderError(
            f"the Redis URL {shown}: the name {name!r} must be letters, digits, '_', '.' or '-', "
            "64 at most"
        )
    # By hand: urlunsplit would drop the // of a unix:// URL, which has no host.
    rest = f"?{urlencode(query)}" if query else ""
    url = f"{parts.scheme}://{parts.netloc}{path}{rest}"
    return RedisPlace(url=url, shown=shown, name=name)


def redacted(text: str) -> str:
    """Return a URL with its password, or everything that might be one, replaced by ***."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return "***" if "@" in text else text
    before, at, host = rest.rpartition("@")
    if at:
        user = before.partition(":")[0] if ":" in before else ""
        rest = f"{user}:***@{host}"
    base, mark, query = rest.partition("?")
    if mark:
        fields = [
            (key, "***" if key in SECRET_FIELDS else value) for key, value in parse_qsl(query)
        ]
        rest = f"{base}?" + "&".join(f"{key}={quote(value, safe='*')}" for key, value in fields)
    return f"{scheme}://{rest}"
