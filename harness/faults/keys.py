"""The bot's values in Redis, read, damaged and put back while nobody else is connected."""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.errors import HarnessError

ANSWER_SECONDS = 10.0
STRING = b"string"


@contextlib.contextmanager
def connected(url: str) -> Iterator[Any]:
    """A client that is gone when the context is left; keys and values are bytes.

    Raises:
        HarnessError: Redis does not answer, or refuses.
    """
    import redis  # A tenth of a second that the other stores need not pay.

    client = redis.Redis.from_url(url, socket_timeout=ANSWER_SECONDS, **unnamed())
    try:
        yield client
    except redis.RedisError as error:
        raise HarnessError(f"the run's Redis does not do what it is told: {error}") from error
    finally:
        client.close()


@functools.cache
def unnamed() -> Mapping[str, None]:
    """Arguments of a client that does not tell its Redis which library it is.

    It would read its own metadata for that at each connection, which takes longer than all we ask.
    """
    import redis

    new = hasattr(redis, "DriverInfo")  # From redis 7.1 on; what was before warns there.
    return {"driver_info": None} if new else {"lib_name": None, "lib_version": None}


def dump_keys(url: str) -> dict[str, bytes]:
    """Every value of a Redis, serialised by Redis itself, by key.

    Raises:
        HarnessError: Redis does not answer.
    """
    with connected(url) as client:
        return _dumped(client, sorted(client.keys("*")))


def restore_keys(url: str, dumped: Mapping[str, bytes]) -> None:
    """Make a Redis hold these values and nothing else.

    Raises:
        HarnessError: Redis does not answer.
    """
    with connected(url) as client:
        client.flushdb()
        for key, value in sorted(dumped.items()):
            client.restore(key, 0, value)


def read_values(url: str) -> dict[str, bytes]:
    """Every value of a Redis by key: a plain string as it is, any other serialised by Redis.

    Raises:
        HarnessError: Redis does not answer.
    """
    with connected(url) as client:
        keys = sorted(client.keys("*"))
        kinds = _answers(client, "type", keys)
        plain = [key for key, kind in zip(keys, kinds, strict=True) if kind == STRING]
        strings = zip(plain, _answers(client, "get", plain), strict=True)
        others = _dumped(client, [key for key in keys if key not in set(plain)])
        return others | {key.decode(): value for key, value in strings}


def _dumped(client: Any, keys: Sequence[bytes]) -> dict[str, bytes]:  # noqa: ANN401 - see connected
    """Values as Redis serialises them."""
    dumped = _answers(client, "dump", keys)
    return {key.decode(): value for key, value in zip(keys, dumped, strict=True)}


def _answers(client: Any, command: str, keys: Sequence[bytes]) -> list[Any]:  # noqa: ANN401 - its
    """What a command answers for each key; all are asked for at once."""
    if not keys:
        return []
    asked = client.pipeline(transaction=False)
    for key in keys:
        getattr(asked, command)(key)
    answers: list[Any] = asked.execute()
    return answers


def read_strings(url: str) -> dict[str, bytes]:
    """Every value that is a plain string, by key.

    Raises:
        HarnessError: Redis does not answer.
    """
    with connected(url) as client:
        return {
            key.decode(): client.get(key)
            for key in sorted(client.keys("*"))
            if client.type(key) == STRING
        }


def write_string(url: str, key: str, value: bytes | None) -> None:
    """Put a value in the place of another; None takes the key away.

    Raises:
        HarnessError: Redis does not answer.
    """
    with connected(url) as client:
        if value is None:
            client.delete(key)
        else:
            client.set(key, value)
