"""The bot's values in Redis, read, damaged and put back while nobody else is connected."""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from harness.errors import HarnessError

ANSWER_SECONDS = 10.0
STRING = b"string"


class Contents(NamedTuple):
    """What a Redis holds at one moment, by key.

    Attributes:
        dumped: each value as `dump_keys` reads it.
        values: each as `read_values` does.
    """

    dumped: dict[str, bytes]
    values: dict[str, bytes]


@contextlib.contextmanager
def connected(url: str) -> Iterator[Any]:
    """A client that is gone when the context is left; keys and values are bytes.

    Raises:
        HarnessError: Redis does not answer, or refuses.
    """
    import redis  # A tenth of a second that the other stores need not pay.

    # The newer protocol begins every connection with a greeting more.
    client = redis.Redis.from_url(url, protocol=2, socket_timeout=ANSWER_SECONDS, **unnamed())
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

    new = hasattr(redis, "DriverInfo")  # The older arguments are deprecated where it is there.
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
        return _values(client, sorted(client.keys("*")))


def read_contents(url: str) -> Contents:
    """Every value of a Redis, as it is put back and as it is read.

    Raises:
        HarnessError: Redis does not answer.
    """
    with connected(url) as client:
        keys = sorted(client.keys("*"))
        return Contents(_dumped(client, keys), _values(client, keys))


def read_strings(url: str) -> dict[str, bytes]:
    """Every value that is a plain string, by key.

    Raises:
        HarnessError: Redis does not answer.
    """
    with connected(url) as client:
        keys = sorted(client.keys("*"))
        kinds = _ask(client, "type", keys)
        plain = [key for key, kind in zip(keys, kinds, strict=True) if kind == STRING]
        return _by_name(plain, _ask(client, "get", plain))


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


def _dumped(client: Any, keys: Sequence[bytes]) -> dict[str, bytes]:  # noqa: ANN401 - redis-py's
    return _by_name(keys, _ask(client, "dump", keys))


def _values(client: Any, keys: Sequence[bytes]) -> dict[str, bytes]:  # noqa: ANN401 - redis-py's
    with client.pipeline(transaction=False) as pipe:
        for key, kind in zip(keys, _ask(client, "type", keys), strict=True):
            pipe.execute_command("get" if kind == STRING else "dump", key)
        return _by_name(keys, pipe.execute())


def _ask(client: Any, command: str, keys: Sequence[bytes]) -> list[Any]:  # noqa: ANN401 - redis-py's
    """Ask one thing of every key, all in one message: each one costs both sides a turn."""
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.execute_command(command, key)
        answers: list[Any] = pipe.execute()
        return answers


def _by_name(keys: Sequence[bytes], values: Sequence[bytes]) -> dict[str, bytes]:
    return {key.decode(): value for key, value in zip(keys, values, strict=True)}
