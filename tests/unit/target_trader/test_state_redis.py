"""The Redis store: who may write, what Redis may forget, and what is said about it."""

import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from harness.redis_process import RedisProcess, running_redis
from target_trader.errors import StateTakenOverError, TraderError
from target_trader.settings import StoreKind
from target_trader.state.choice import open_store, read_state
from target_trader.state.migrations import STEPS
from target_trader.state.redis_place import parse_place, redacted
from target_trader.state.redis_store import Durability, RedisStore, read_redis_state, stored
from target_trader.state.store import Source
from tests.support.checkpoints import ATTEMPT, full_checkpoint
from tests.support.stores import redis_url

GOLDEN = Path(__file__).with_name("golden") / "version_1" / "trader_state_20251006.json"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis of the test's own, which it may end."""
    folder = tmp_path / "server"
    folder.mkdir()
    with running_redis(folder) as process:
        yield process


@contextlib.contextmanager
def raw(url: str) -> Iterator[Any]:
    """Look into Redis behind the store's back; `key` names a key of this state."""
    place = parse_place(url)
    client = redis.Redis.from_url(place.url, decode_responses=True)
    try:
        yield client, place.key
    finally:
        client.close()


def saved(folder: Path, url: str, *, attempts: int) -> None:
    """Open, save once for each attempt, close."""
    store = RedisStore(folder, url)
    store.load()
    checkpoint = full_checkpoint()
    for number in range(1, attempts + 1):
        checkpoint.attempts[ATTEMPT] = number
        store.save(checkpoint)
    store.close()


def attempts_of(folder: Path, url: str) -> int | None:
    """How many attempts the stored state knows."""
    checkpoint = read_redis_state(folder, url).checkpoint
    return None if checkpoint is None else checkpoint.attempts[ATTEMPT]


def test_two_names_in_one_redis_are_two_states(tmp_path: Path) -> None:
    url = redis_url(tmp_path)
    saved(tmp_path / "a", url, attempts=1)
    assert read_redis_state(tmp_path / "b", f"{url}-other").checkpoint is None
    assert attempts_of(tmp_path / "a", url) == 1


def test_the_value_is_json_with_a_checksum_and_a_rising_number(tmp_path: Path) -> None:
    url = redis_url(tmp_path)
    saved(tmp_path, url, attempts=3)
    with raw(url) as (client, key):
        main, backup = (json.loads(client.get(key(what))) for what in ("state", "backup"))
    assert (main["number"], backup["number"]) == (3, 2)
    assert main["checkpoint"]["attempts"] == {ATTEMPT: 3}
    assert len(main["checksum"]) == 64


def test_a_bot_on_another_machine_takes_the_state_over_and_the_first_must_stop(
    tmp_path: Path,
) -> None:
    url = redis_url(tmp_path)
    first = RedisStore(tmp_path / "here", url)
    first.save(full_checkpoint())
    second = RedisStore(tmp_path / "there", url)
    taken = second.load().checkpoint
    assert taken == full_checkpoint()
    with pytest.raises(StateTakenOverError, match="taken over by another bot") as caught:
        first.save(full_checkpoint())
    assert str(tmp_path / "there") in str(caught.value)
    taken.attempts[ATTEMPT] = 3
    second.save(taken)
    first.close()
    second.close()
    assert attempts_of(tmp_path / "there", url) == 3


def test_a_take_over_between_the_look_and_the_write_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = redis_url(tmp_path)
    first = RedisStore(tmp_path / "here", url)
    first.save(full_checkpoint())
    others: list[RedisStore] = []

    def open_another(name: str) -> None:
        if name == "redis.before_write" and not others:
            others.append(RedisStore(tmp_path / "there", url))

    monkeypatch.setattr("target_trader.state.redis_store.failpoint", open_another)
    late = full_checkpoint()
    late.attempts[ATTEMPT] = 9
    with pytest.raises(StateTakenOverError):
        first.save(late)
    first.close()
    others[0].close()
    assert attempts_of(tmp_path / "there", url) == 2


def test_a_damaged_state_gives_way_to_its_backup_which_is_not_pushed_out(tmp_path: Path) -> None:
    url = redis_url(tmp_path)
    saved(tmp_path, url, attempts=3)
    with raw(url) as (client, key):
        client.set(key("state"), "torn")
        assert read_redis_state(tmp_path, url).source is Source.BACKUP
        store = RedisStore(tmp_path, url)
        loaded = store.load()
        assert loaded.source is Source.BACKUP
        assert "not a complete state" in loaded.problems[0]
        assert loaded.checkpoint is not None
        assert loaded.checkpoint.attempts == {ATTEMPT: 2}
        store.save(loaded.checkpoint)
        assert client.get(key("state:damaged")) == "torn"
        assert json.loads(client.get(key("backup")))["number"] == 2
        store.close()
    assert read_redis_state(tmp_path, url).source is Source.MAIN


def test_a_redis_that_has_lost_the_last_saves_is_a_backup_and_says_how_many(tmp_path: Path) -> None:
    url = redis_url(tmp_path)
    saved(tmp_path, url, attempts=1)
    with raw(url) as (client, key):
        old = client.get(key("state"))
        saved(tmp_path, url, attempts=3)
        client.set(key("state"), old)
        client.delete(key("backup"))
    loaded = read_redis_state(tmp_path, url)
    assert loaded.source is Source.BACKUP
    assert loaded.checkpoint is not None
    assert "had acknowledged save 4" in loaded.problems[0]
    assert "3 saves are lost" in loaded.problems[0]
    saved(tmp_path, url, attempts=1)
    assert read_redis_state(tmp_path, url).source is Source.MAIN
    with raw(url) as (client, key):
        assert json.loads(client.get(key("state")))["number"] == 5


def test_a_save_while_a_reader_reads_is_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = redis_url(tmp_path)
    store = RedisStore(tmp_path, url)
    store.save(full_checkpoint())

    def and_save_once_more(client: Any, place: Any) -> tuple[str | None, str | None]:  # noqa: ANN401 - the client's own types
        texts = stored(client, place)
        store.save(full_checkpoint())
        return texts

    monkeypatch.setattr("target_trader.state.redis_store.stored", and_save_once_more)
    loaded = read_redis_state(tmp_path, url)
    store.close()
    assert (loaded.source, loaded.problems) == (Source.MAIN, ())


def test_another_save_of_the_same_number_is_not_taken_for_ours(tmp_path: Path) -> None:
    url = redis_url(tmp_path)
    saved(tmp_path / "here", url, attempts=1)
    with raw(url) as (client, key):
        client.flushdb()
        saved(tmp_path / "there", url, attempts=1)
        text = json.loads(client.get(key("state")))
        witness = tmp_path / "here" / f"redis_{parse_place(url).name}.witness.json"
        told = json.loads(witness.read_text())
        witness.write_text(json.dumps(told | {"checksum": "0" * 64}))
        assert text["number"] == told["number"] == 1
    loaded = read_redis_state(tmp_path / "here", url)
    assert loaded.source is Source.BACKUP
    assert "another save 1" in loaded.problems[0]


def test_a_redis_that_comes_back_empty_is_a_lost_state_and_not_a_clean_start(
    tmp_path: Path,
) -> None:
    url = redis_url(tmp_path)
    saved(tmp_path, url, attempts=2)
    with raw(url) as (client, _key):
        client.flushdb()
    loaded = read_redis_state(tmp_path, url)
    assert loaded.state_was_lost
    assert "lost its memory" in loaded.problems[0]
    assert "remove redis_" in loaded.problems[0]
    store = RedisStore(tmp_path, url)
    assert store.load().state_was_lost
    store.save(full_checkpoint())
    store.close()
    assert read_redis_state(tmp_path, url).source is Source.MAIN


def test_a_witness_that_cannot_be_read_leaves_doubt(tmp_path: Path) -> None:
    url = redis_url(tmp_path)
    saved(tmp_path, url, attempts=2)
    next(tmp_path.glob("*.witness.json")).write_text("torn")
    loaded = read_redis_state(tmp_path, url)
    assert loaded.source is Source.BACKUP
    assert "cannot be known" in loaded.problems[0]


def test_a_redis_that_restarts_empty_under_the_bot_gets_the_whole_state_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = redis_url(tmp_path)
    store = RedisStore(tmp_path, url)
    store.save(full_checkpoint())
    with raw(url) as (client, _key):
        client.flushdb()
    checkpoint = full_checkpoint()
    checkpoint.attempts[ATTEMPT] = 3
    caplog.clear()
    with caplog.at_level(logging.WARNING, "target_trader"):
        store.save(checkpoint)
        store.save(checkpoint)
    store.close()
    assert [each.levelname for each in caplog.records] == ["CRITICAL"]
    assert "lost what it had acknowledged" in caplog.text
    assert read_redis_state(tmp_path, url).checkpoint == checkpoint
    assert read_redis_state(tmp_path, url).source is Source.MAIN


def test_a_redis_that_is_gone_fails_the_save_after_three_tries(
    tmp_path: Path, server: RedisProcess
) -> None:
    pauses: list[float] = []
    store = RedisStore(tmp_path / "state", server.url, pause=pauses.append)
    store.save(full_checkpoint())
    server.child.kill()
    with pytest.raises(OSError, match="does not answer after 3 tries"):
        store.save(full_checkpoint())
    store.close()
    assert pauses == [0.1, 0.3]


def test_a_redis_that_is_gone_when_the_state_is_read_is_the_users_to_start(
    tmp_path: Path, server: RedisProcess
) -> None:
    store = RedisStore(tmp_path / "state", server.url, pause=lambda _: None)
    server.child.kill()
    with pytest.raises(TraderError, match="Start Redis"):
        store.load()
    store.close()


def test_a_connection_that_breaks_is_made_again_within_the_save(tmp_path: Path) -> None:
    url = redis_url(tmp_path)
    pauses: list[float] = []
    store = RedisStore(tmp_path, url, pause=pauses.append)
    store.save(full_checkpoint())
    store.client.connection_pool.disconnect()
    checkpoint = full_checkpoint()
    checkpoint.attempts[ATTEMPT] = 7
    store.save(checkpoint)
    store.close()
    assert attempts_of(tmp_path, url) == 7


def test_a_redis_that_is_down_at_the_start_is_said_without_the_password(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    url = f"redis://me:geheim@127.0.0.1:{port}/0/x"
    for act in (lambda: RedisStore(tmp_path, url), lambda: read_redis_state(tmp_path, url)):
        with pytest.raises(TraderError, match="Start Redis or correct") as caught:
            act()
        assert f"redis://me:***@127.0.0.1:{port}/0/x" in str(caught.value)
        assert "geheim" not in str(caught.value)
    # The folder is free again.
    open_store(StoreKind.JSON, tmp_path).close()


def test_without_a_url_the_bot_says_how_to_give_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    for act in (open_store, read_state):
        with pytest.raises(TraderError, match="--redis-url, or set REDIS_URL"):
            act(StoreKind.REDIS, tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url(tmp_path))
    open_store(StoreKind.REDIS, tmp_path).close()


def test_a_server_without_durable_answers_is_named_once_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "target_trader"):
        store = RedisStore(tmp_path, redis_url(tmp_path))
        store.save(full_checkpoint())
        store.close()
    assert store.durability is Durability.UNKNOWN
    assert len(caplog.records) == 1
    assert "may lose the last second, or everything" in caplog.text


def test_a_state_of_an_older_version_is_upgraded_and_kept(tmp_path: Path) -> None:
    url = redis_url(tmp_path)
    old = GOLDEN.read_text()
    with raw(url) as (client, key):
        client.set(key("state"), old)
        store = RedisStore(tmp_path, url)
        upgraded = store.load().checkpoint
        assert upgraded is not None
        store.save(upgraded)
        store.close()
        assert client.get(key(f"state:v{min(STEPS)}")) == old
    assert read_redis_state(tmp_path, url).checkpoint == upgraded


class ScriptedRedis:
    """A server that speaks just enough RESP to say what a real, durable Redis would say."""

    def __init__(self, answers: dict[str, list[bytes]]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.queued = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
            while head := stream.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int(stream.readline()[1:])
                    words.append(stream.read(size + 2)[:-2].decode())
                connection.sendall(self.answer(words))

    def answer(self, words: list[str]) -> bytes:
        name = words[0].upper()
        self.asked.append(name)
        script = self.answers.get(name)
        if script:
            return script.pop(0) if len(script) > 1 else script[0]
        match name:
            case "MULTI":
                self.queued = 0
                return b"+OK\r\n"
            case "EXEC":
                return b"*%d\r\n" % self.queued + b":1\r\n" * self.queued
            case "SET" | "INCRBY":
                self.queued += 1
                return b"+QUEUED\r\n"
            case "MGET":
                return b"*2\r\n$-1\r\n$-1\r\n"
            case "PING":
                return b"+PONG\r\n"
            case "HELLO":
                return b"-ERR unknown command\r\n"
            case _:
                return b"+OK\r\n"

    def close(self) -> None:
        self.listener.close()


@pytest.mark.parametrize(
    ("answers", "durability"),
    [
        ({"WAITAOF": [b"*2\r\n:1\r\n:0\r\n"]}, Durability.WAITAOF),
        (
            {
                "WAITAOF": [b"-ERR unknown command 'WAITAOF'\r\n"],
                "CONFIG": [
                    b"*4\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n"
                ],
            },
            Durability.ALWAYS,
        ),
        (
            {
                "WAITAOF": [b"-ERR WAITAOF cannot be used when appendonly is disabled.\r\n"],
                "CONFIG": [b"*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n"],
            },
            Durability.UNKNOWN,
        ),
        (
            {
                "WAITAOF": [b"-NOPERM no permission\r\n"],
                "CONFIG": [b"-NOPERM no permission\r\n"],
            },
            Durability.UNKNOWN,
        ),
    ],
)
def test_the_store_finds_out_how_redis_promises_durability(
    answers: dict[str, list[bytes]], durability: Durability, tmp_path: Path
) -> None:
    server = ScriptedRedis(answers)
    store = RedisStore(tmp_path, f"{server.url}?protocol=2")
    store.close()
    server.close()
    assert store.durability is durability


def test_a_save_waits_until_redis_has_it_on_its_disk(tmp_path: Path) -> None:
    on_disk, not_yet = b"*2\r\n:1\r\n:0\r\n", b"*2\r\n:0\r\n:0\r\n"
    server = ScriptedRedis({"WAITAOF": [on_disk, on_disk, not_yet]})
    pauses: list[float] = []
    store = RedisStore(tmp_path, f"{server.url}?protocol=2", pause=pauses.append)
    store.save(full_checkpoint())
    assert server.asked[-1] == "WAITAOF"
    with pytest.raises(OSError, match="not on Redis's disk"):
        store.save(full_checkpoint())
    store.close()
    server.close()
    witness = json.loads((tmp_path / "redis_ps60.witness.json").read_text())
    assert witness["number"] == 1


@pytest.mark.parametrize(
    ("text", "url", "name"),
    [
        ("redis://h:1", "redis://h:1/0", "ps60"),
        ("redis://h:1/3", "redis://h:1/3", "ps60"),
        ("redis://h:1/3/DU123", "redis://h:1/3", "DU123"),
        ("rediss://u:p@h:1/DU123", "rediss://u:p@h:1/0", "DU123"),
        ("redis://h:1/3?name=a-b&health_check_interval=5", None, "a-b"),
        ("unix:///run/redis.sock?name=x", "unix:///run/redis.sock", "x"),
    ],
)
def test_the_path_of_a_url_names_database_and_state(text: str, url: str | None, name: str) -> None:
    place = parse_place(text)
    assert place.name == name
    assert place.key("state") == f"target_trader:{name}:state"
    assert place.url == (url or "redis://h:1/3?health_check_interval=5")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://u:geheim@h", "does not begin with redis://"),
        ("redis://u:geheim@h:port/0", "cannot be read"),
        ("redis://u:geheim@h/0/a/b", "more after its host"),
        ("redis://u:geheim@h/0/a*b", "must be letters"),
        ("u:geheim@h", "does not begin with redis://"),
        ("redis://h/0?password=geheim&nonsense=1", "nonsense"),
        ("redis://u:geheim@h/0?nonsense=1", "nonsense"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(
    text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(TraderError, match=words) as caught:
        RedisStore(tmp_path, text)
    assert "geheim" not in str(caught.value)
    assert "geheim" not in redacted(text)


def test_a_redis_that_refuses_to_write_fails_the_save_in_words(tmp_path: Path) -> None:
    server = ScriptedRedis({"EXEC": [b"*2\r\n:1\r\n+OK\r\n", b"-OOM command not allowed\r\n"]})
    store = RedisStore(tmp_path, f"{server.url}?protocol=2")
    with pytest.raises(OSError, match="refuses the state"):
        store.save(full_checkpoint())
    store.close()
    server.close()
    assert os.listdir(tmp_path) == ["trader.lock"]  # noqa: PTH208 - names are all that is asked
