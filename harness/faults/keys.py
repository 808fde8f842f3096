"""The bot's values in Redis, read, damaged and put back while nobody else is connected."""

import contextlib
from collections.abc import Iterator, Mapping
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

    client = redis.Redis.from_url(url, socket_timeout=ANSWER_SECONDS)
    try:
        yield client
    except redis.RedisError as error:
        raise HarnessError(f"the run's Redis does not do what it is told: {error}") from error
    finally:
        client.close()


def dump_keys(url: str) -> dict[str, bytes]:
    """Every value of a Redis, serialised by Redis itself, by key.

    Raises:
        HarnessError: Redis does not answer.
    """
    with connected(url) as client:
        return {key.decode(): client.dump(key) for key in sorted(client.keys("*"))}


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
        values: dict[str, bytes] = {}
        for key in sorted(client.keys("*")):
            plain = client.type(key) == STRING
            values[key.decode()] = client.get(key) if plain else client.dump(key)
        return values


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
