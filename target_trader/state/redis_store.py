"""The state in Redis: one value, replaced with its backup in one MULTI/EXEC, under a token.

Three things that Redis does not promise by itself are made up for:

- **One writer.** Every bot that opens a state takes the next token and writes its name beside it;
  every save watches both. A bot on another machine that opens the same state takes over, and the
  next save of the first fails loudly. A lock with a lifetime would keep out the restarted bot.
- **Durability.** After the write WAITAOF says that it is on Redis's disk (Redis 7.2, appendonly
  yes); without it `appendfsync always` does; where neither is to be had, a restart of Redis may
  lose the last second or everything, which is said once at the start.
- **A Redis that has forgotten.** The folder keeps a witness of the last acknowledged save. A state
  that is older than its witness is a backup, an empty Redis with a witness is a lost state; only
  an empty Redis and no witness are a clean start.
"""

import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import RedisError, ResponseError, WatchError
from redis.exceptions import TimeoutError as NoAnswerError
from redis.retry import Retry

from target_trader.errors import DamagedStateError, StateTakenOverError, TraderError
from target_trader.failpoints import failpoint
from target_trader.log import tell
from target_trader.state.checkpoint import VERSION, Checkpoint
from target_trader.state.codec import Envelope, from_text, seal
from target_trader.state.lock import FolderLock, prepare_folder
from target_trader.state.redis_place import RedisPlace, parse_place
from target_trader.state.store import Loaded, Source
from target_trader.state.witness import Witness, read_witness, witness_path, write_witness

ANSWER_SECONDS = 2.0
BACKOFF_SECONDS = (0.1, 0.3)
"""Pauses before the second and the third try; with the time-outs a save gives up in 7 seconds."""

AnswerT = TypeVar("AnswerT")


class Durability(StrEnum):
    """How it is known that an acknowledged save outlives a restart of Redis."""

    WAITAOF = "WAITAOF"
    ALWAYS = "appendfsync always"
    UNKNOWN = "unknown"


class RedisStore:
    """Keeps the checkpoint in Redis; safe to call from several threads.

    Args:
        folder: for the lock and the witness.
        url: see `redis_place.py`.
        pause: waits so many seconds between two tries.
    """

    def __init__(
        self, folder: Path, url: str, *, pause: Callable[[float], object] | None = None
    ) -> None:
        self.place = parse_place(url)
        self.client = connect(self.place)
        prepare_folder(folder)
        self.lock = FolderLock(folder)
        self.guard = Lock()
        self.pause = pause if pause is not None else Event().wait
        self.witness = witness_path(folder, self.place.name)
        self.owner = f"{secrets.token_hex(8)} {socket.gethostname()} pid {os.getpid()} {folder}"
        self.number: int | None = None
        self.previous: str | None = None
        try:
            self.durability = probe(self.place)
            self.token = self.reach(self.take_token)
        except (OSError, RedisError) as error:
            self.close()
            raise unreachable(self.place, error) from error
        if self.durability is Durability.UNKNOWN:
            words = (
                f"Redis at {self.place.shown} does not promise that a save is on its disk: if "
                "Redis itself restarts it may lose the last second, or everything. Use Redis "
                "7.2 or later with 'appendonly yes', or set 'appendfsync always'"
            )
            tell("redis_not_durable", words, level=logging.WARNING)

    def take_token(self) -> int:
        """Become the one writer."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.incr(self.place.key("token"))
            pipe.set(self.place.key("owner"), self.owner)
            return int(pipe.execute()[0])

    def load(self) -> Loaded:
        """Read the state, its backup and the witness.

        Raises:
            StateVersionError: the state is of a version that this bot cannot read.
            TraderError: Redis cannot be reached.
        """
        with self.guard:
            try:
                return self.read()
            except (OSError, RedisError) as error:
                raise unreachable(self.place, error) from error

    def read(self) -> Loaded:
        """Read and judge; note from where the saves go on, and keep what they will replace.

        The next save makes `previous` the backup: the copy that was believed, so that a damaged
        one never pushes out a good one.
        """
        testimony = testimony_of(self.witness)
        main, backup = self.reach(lambda: stored(self.client, self.place))
        loaded, envelope, self.number = believed(main, backup, testimony=testimony)
        self.previous = envelope.text if envelope is not None else None
        if main is not None and self.previous != main:
            key = self.place.key("state:damaged")
            self.reach(lambda: self.client.set(key, main))
            words = f"The damaged state is kept in Redis as {key}"
            tell("damaged_kept", words, level=logging.ERROR, kept=key)
        if envelope is not None and envelope.version != VERSION:
            key, old = self.place.key(f"state:v{envelope.version}"), envelope.text
            self.reach(lambda: self.client.set(key, old))
            words = f"The state has version {envelope.version} and becomes version {VERSION}"
            words += f"; the old one is kept as {key}"
            tell("state_upgraded", words, level=logging.WARNING, kept=key)
        return loaded

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace state and backup in one transaction, then witness it.

        Raises:
            OSError: Redis or the folder refused; what was saved before is still there.
            StateTakenOverError: another bot writes this state now.
        """
        with self.guard:
            if self.number is None:
                self.read()
            number = (self.number or 0) + 1
            sealed = seal(checkpoint, number=number)
            try:
                self.reach(lambda: self.write(sealed.text))
            except RedisError as error:
                raise OSError(f"Redis at {self.place.shown} refuses the state: {error}") from error
            failpoint("redis.written")
            saved_at = checkpoint.saved_at
            write_witness(
                self.witness, Witness(number=number, checksum=sealed.checksum, saved_at=saved_at)
            )
            failpoint("redis.witnessed")
            self.number, self.previous = number, sealed.text

    def write(self, text: str) -> None:
        """Write the state if it is still ours; may be repeated when its answer was lost.

        Raises:
            StateTakenOverError: it is not.
        """
        place = self.place
        with self.client.pipeline(transaction=True) as pipe:
            pipe.watch(place.key("token"), place.key("owner"))  # type: ignore[no-untyped-call] # redis-py's
            token, owner = texts(pipe.mget(place.key("token"), place.key("owner")))
            self.check_owner(token, owner)
            pipe.multi()
            if owner != self.owner:
                pipe.set(place.key("token"), self.token)
                pipe.set(place.key("owner"), self.owner)
            pipe.set(place.key("state"), text)
            if self.previous is not None:
                pipe.set(place.key("backup"), self.previous)
            failpoint("redis.before_write")
            try:
                pipe.execute()
            except WatchError as error:
                # Another bot has just opened the state, or a try of ours that was given up came
                # through late. The next try sees who the owner is.
                raise NoAnswerError("the owner of the state was written meanwhile") from error
        if self.durability is Durability.WAITAOF:
            local, _replicas = self.client.waitaof(1, 0, int(ANSWER_SECONDS * 1000))
            if local < 1:
                raise NoAnswerError(f"not on Redis's disk within {ANSWER_SECONDS:g} s")

    def check_owner(self, token: str | None, owner: str | None) -> None:
        """Refuse to write a state that another bot has opened since.

        A Redis that has forgotten our own opening (it restarted, and lost what was not on its
        disk) has a smaller token than ours or none: then the save puts everything back.
        """
        if owner == self.owner:
            return
        if token is not None and int(token) >= self.token:
            raise StateTakenOverError(self.taken_over(owner or "a bot without a name"))
        words = f"Redis at {self.place.shown} has restarted and lost what it had acknowledged; "
        words += "the whole state is written again"
        tell("redis_restarted", words, level=logging.CRITICAL)

    def taken_over(self, owner: str) -> str:
        """Say who has the state now and what to do."""
        return (
            f"the state {self.place.name!r} in Redis at {self.place.shown} has been taken over by "
            f"another bot ({owner.partition(' ')[2] or owner}); this one must stop. Stop one of "
            "the two, or give this one a name of its own in the URL: redis://HOST:PORT/DB/NAME"
        )

    def reach(self, act: Callable[[], AnswerT]) -> AnswerT:
        """Ask Redis, with two more tries when it does not answer.

        Raises:
            OSError: it does not answer.
            RedisError: it answers with an error.
        """
        for wait in BACKOFF_SECONDS:
            try:
                return act()
            except (NoConnectionError, NoAnswerError) as error:
                words = f"Redis at {self.place.shown}: {error}; trying again"
                tell("redis_retry", words, level=logging.WARNING)
                self.pause(wait)
        try:
            return act()
        except (NoConnectionError, NoAnswerError) as error:
            tries = len(BACKOFF_SECONDS) + 1
            raise OSError(
                f"Redis at {self.place.shown} does not answer after {tries} tries: {error}"
            ) from error

    def close(self) -> None:
        """Close the connection and release the folder."""
        self.client.close()
        self.lock.release()


def connect(place: RedisPlace) -> "redis.Redis":
    """Make the client: one connection, every wait of it bounded, no retries of its own.

    Raises:
        TraderError: the URL has a field that the client does not know.
    """
    try:
        pool: Any = redis.ConnectionPool.from_url(
            place.url,
            max_connections=1,
            decode_responses=True,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        # The pool makes its connection late; a field that it does not know is to be said now.
        pool.connection_class(**pool.connection_kwargs)
        return redis.Redis.from_pool(pool)
    except (ValueError, TypeError) as error:
        raise TraderError(f"the Redis URL {place.shown} cannot be used: {error}") from error


def probe(place: RedisPlace) -> Durability:
    """Find out how Redis can tell that a save is on its disk.

    Each question has a connection of its own: a server that does not know a command may hang up.

    Raises:
        RedisError: there is no connection.
    """
    client = connect(place)
    try:
        client.ping()
        client.waitaof(1, 0, int(ANSWER_SECONDS * 1000))
    except ResponseError:
        # Older than 7.2, or appendonly is off.
        pass
    else:
        return Durability.WAITAOF
    finally:
        client.close()
    client = connect(place)
    try:
        settings: dict[Any, Any] = client.config_get("append*")
    except ResponseError:
        # A hosted Redis may forbid to read its settings.
        return Durability.UNKNOWN
    finally:
        client.close()
    safe = settings.get("appendonly") == "yes" and settings.get("appendfsync") == "always"
    return Durability.ALWAYS if safe else Durability.UNKNOWN


def stored(client: "redis.Redis", place: RedisPlace) -> tuple[str | None, str | None]:
    """Read state and backup at one moment."""
    main, backup = texts(client.mget(place.key("state"), place.key("backup")))
    return main, backup


def texts(values: Iterable[bytes | str | None]) -> list[str | None]:
    """Return values of Redis as texts; the client's types allow bytes, its decoding does not."""
    return [value.decode() if isinstance(value, bytes) else value for value in values]


@dataclass(frozen=True, slots=True)
class Testimony:
    """What the witness file says: the last acknowledged save, or why it cannot be known."""

    name: str
    seen: Witness | None
    problem: str | None


def testimony_of(witness: Path) -> Testimony:
    """Read the witness; always before Redis.

    A save reaches Redis first. A reader that asks Redis first and looks at the witness after
    another save would see a Redis that is behind, although nothing is lost.
    """
    try:
        return Testimony(witness.name, read_witness(witness), None)
    except DamagedStateError as error:
        problem = f"{error}; whether Redis holds the last save cannot be known"
        return Testimony(witness.name, None, problem)


def believed(
    main: str | None, backup: str | None, *, testimony: Testimony
) -> tuple[Loaded, Envelope | None, int]:
    """Judge what Redis holds by what the folder has witnessed.

    Returns:
        the outcome, the copy that was believed, and the number of the last save.

    Raises:
        StateVersionError: the state is of a version that this bot cannot read.
    """
    seen = testimony.seen
    problems = [testimony.problem] if testimony.problem is not None else []
    last = seen.number if seen is not None else 0
    for text, source in ((main, Source.MAIN), (backup, Source.BACKUP)):
        if text is None:
            continue
        words = "the state in Redis" if source is Source.MAIN else "the backup in Redis"
        try:
            envelope = from_text(text, name=words)
        except DamagedStateError as error:
            problems.append(str(error))
            continue
        if seen is not None and (lost := lost_words(envelope, seen)):
            problems.append(lost)
        found = Source.BACKUP if problems else Source.MAIN
        number = max(last, envelope.number)
        return Loaded(envelope.checkpoint, found, tuple(problems)), envelope, number
    if seen is not None:
        problems.append(
            f"Redis holds no state, but it had acknowledged save {seen.number} at "
            f"{seen.saved_at.isoformat()}: it has lost its memory, or it is another Redis. To "
            f"begin anew on purpose, remove {testimony.name} from the state folder"
        )
    return Loaded(None, Source.NONE, tuple(problems)), None, last


def lost_words(envelope: Envelope, seen: Witness) -> str | None:
    """Say what Redis has lost of what it had acknowledged; None when nothing."""
    if envelope.number < seen.number:
        return (
            f"Redis holds save {envelope.number}, but it had acknowledged save {seen.number} at "
            f"{seen.saved_at.isoformat()}: {seen.number - envelope.number} saves are lost"
        )
    if envelope.number == seen.number and envelope.checksum != seen.checksum:
        return (
            f"Redis holds another save {seen.number} than the one that it acknowledged here: it "
            "has lost saves, and another bot has gone on from what was left"
        )
    return None


def read_redis_state(folder: Path, url: str) -> Loaded:
    """Read the state without lock or token, and without changing anything.

    Raises:
        StateVersionError: the state is of a version that this bot cannot read.
        TraderError: Redis cannot be reached.
    """
    place = parse_place(url)
    client = connect(place)
    testimony = testimony_of(witness_path(folder, place.name))
    try:
        main, backup = stored(client, place)
    except (OSError, RedisError) as error:
        raise unreachable(place, error) from error
    finally:
        client.close()
    return believed(main, backup, testimony=testimony)[0]


def unreachable(place: RedisPlace, error: Exception) -> TraderError:
    """Say that the state cannot be read or opened, and what to do."""
    return TraderError(
        f"the state in Redis at {place.shown} cannot be opened: {error}. Start Redis or correct "
        "the URL (--redis-url, REDIS_URL); the bot does not trade without its state"
    )
