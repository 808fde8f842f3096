"""The embedded Redis: real clients, seen from outside, and nothing of it left behind."""

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from harness.clock import Deadline
from harness.errors import HarnessError, UserError
from harness.faults.keys import Contents, dump_keys, read_contents, read_values, write_string
from harness.redis_process import RedisProcess, kept_free, redis_at_need, running_redis
from harness.targets import BotSpec, Session
from harness.targets.process import base_environment, launch, run_to_end
from harness.targets.quiet import Sight, agree, stands
from harness.targets.sockets import LoopbackQueues
from harness.targets.threads import Look, look_at

SECONDS = 20.0
PING = b"*1\r\n$4\r\nPING\r\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """An empty Redis."""
    with running_redis(tmp_path) as process:
        yield process


@pytest.fixture
def client(server: RedisProcess) -> Iterator["redis.Redis"]:
    """A client with one connection."""
    made = redis.Redis.from_url(server.url, decode_responses=True, socket_timeout=SECONDS)
    yield made
    made.close()


def test_it_keeps_what_a_transaction_wrote(client: "redis.Redis") -> None:
    with client.pipeline(transaction=True) as pipe:
        pipe.incr("token")
        pipe.set("state", "x" * 1_000_000)
        assert pipe.execute() == [1, True]
    assert len(str(client.get("state"))) == 1_000_000


def test_it_outlives_a_client_that_is_killed_and_has_done_what_that_had_sent(
    server: RedisProcess, client: "redis.Redis", tmp_path: Path
) -> None:
    code = (
        "import os, signal, socket\n"
        f"s = socket.create_connection(('127.0.0.1', {server.port}))\n"
        "s.sendall(b'*3\\r\\n$3\\r\\nSET\\r\\n$1\\r\\na\\r\\n$1\\r\\n7\\r\\n')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    child = launch([sys.executable, "-c", code], tmp_path / "client.log")
    assert child.exits_within(SECONDS)
    child.end()
    server.await_goodbye()
    assert client.get("a") == "7"


def test_it_names_its_clients_and_forgets_those_that_are_gone(server: RedisProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.sendall(PING)
        assert one.recv(100) == b"+PONG\r\n"
        assert server.client_ports() == (one.getsockname()[1],)
    server.await_goodbye()
    assert server.client_ports() == ()


@pytest.fixture
def contents(server: RedisProcess) -> Contents:
    """What a Redis holds: a plain value and another."""
    with redis.Redis.from_url(server.url, socket_timeout=SECONDS) as client:
        client.set("state", b"\x00\xff")
        client.hset("more", "field", "1")
    return read_contents(server.url)


def test_contents_are_read_in_both_ways_at_once(server: RedisProcess, contents: Contents) -> None:
    assert contents.dumped == dump_keys(server.url)
    assert contents.values == read_values(server.url)
    assert contents.values["state"] == b"\x00\xff"
    assert contents.values["more"] == contents.dumped["more"]


def test_one_that_nobody_asks_is_never_started_and_tells_what_it_would_hold(
    contents: Contents, tmp_path: Path
) -> None:
    folder = tmp_path / "branch"
    folder.mkdir()
    with redis_at_need(folder, contents) as later:
        assert later.values() == contents.values
        assert later.client_ports() == ()
        later.await_goodbye()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", later.port))
    assert list(folder.iterdir()) == []


def test_one_that_is_needed_holds_it_on_the_port_that_was_told_before(
    contents: Contents, tmp_path: Path
) -> None:
    folder = tmp_path / "branch"
    folder.mkdir()
    with redis_at_need(folder, contents) as later:
        url = later.url
        later.begin()
        pid = later.pid
        later.begin()
        assert (later.url, later.pid) == (url, pid)
        assert read_values(url) == contents.values
        write_string(url, "state", b"new")
        assert later.values() == {**contents.values, "state": b"new"}
        later.stop()
        later.start(contents.dumped)
        assert (later.url, later.values()) == (url, contents.values)
    assert not Path(f"/proc/{pid}").exists()


def test_what_it_holds_is_read_anew_when_somebody_has_been_let_at_it(server: RedisProcess) -> None:
    write_string(server.url, "state", b"1")
    assert server.values() == {"state": b"1"}
    server.begin()
    write_string(server.url, "state", b"2")
    assert server.values() == {"state": b"2"}


def test_a_port_that_is_kept_free_is_given_to_nobody_who_does_not_ask_for_it() -> None:
    with kept_free() as place:
        port = place.getsockname()[1]
        others = [kept_free() for _ in range(200)]
        try:
            assert port not in {other.getsockname()[1] for other in others}
        finally:
            for other in others:
                other.close()
        with socket.create_server(("127.0.0.1", port)) as taken:
            assert taken.getsockname()[1] == port


def test_it_sleeps_while_nobody_asks_although_a_client_is_connected(
    server: RedisProcess, client: "redis.Redis"
) -> None:
    client.ping()
    deadline = Deadline(SECONDS)
    looks = [look_at(server.pid)]
    # Each pause is far longer than the poll that it must not have.
    while len(looks) < 2 or not stands(*looks[-2:]):
        assert not deadline.passed, looks[-1].doing
        server.child.exits_within(0.3)
        looks.append(look_at(server.pid))


def test_a_question_that_it_has_not_read_is_seen_under_way(server: RedisProcess) -> None:
    queues = LoopbackQueues()
    os.kill(server.pid, 19)  # SIGSTOP: it can neither read nor answer.
    try:
        with socket.create_connection(("127.0.0.1", server.port)) as one:
            one.sendall(PING)
            deadline = Deadline(SECONDS)
            port = one.getsockname()[1]
            while not queues.bytes_between(port, server.port):
                assert not deadline.passed
                server.child.exits_within(0.01)
            assert not look_at(server.pid).waiting
    finally:
        os.kill(server.pid, 18)
        queues.close()


def test_a_server_that_runs_or_has_run_does_not_stand() -> None:
    waits = Look(waiting=True, switches=((1, 5),), doing="in poll")
    ran = Look(waiting=True, switches=((1, 6),), doing="in poll")
    runs = Look(waiting=False, switches=((1, 5),), doing="running")
    assert stands(waits, waits)
    assert not stands(waits, ran)
    assert not stands(waits, runs)
    assert not stands(None, waits)
    assert stands(None, None)


def test_a_bot_is_not_quiet_while_its_server_works_or_has_worked() -> None:
    waits = Look(waiting=True, switches=((1, 5),), doing="in poll")
    ran = Look(waiting=True, switches=((1, 6),), doing="in poll")

    def sight(server: Look) -> Sight:
        return Sight(look=waits, under_way=0, beside=server)

    assert agree(sight(waits), sight(waits))
    assert not agree(sight(waits), sight(ran))


def test_it_listens_on_loopback_only(server: RedisProcess) -> None:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    here = f":{server.port:04X}"
    listening = [line.split()[1] for line in lines if line.split()[3] == "0A"]
    assert [each for each in listening if each.endswith(here)] == [f"0100007F{here}"]


def test_a_client_that_never_leaves_is_an_error_and_not_a_wait_for_ever(
    server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.redis_process.GOODBYE_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.sendall(PING)
        one.recv(100)
        with pytest.raises(HarnessError, match="still has a connection"):
            server.await_goodbye()


def test_a_server_that_has_ended_is_an_error(server: RedisProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.sendall(PING)
        one.recv(100)
        server.child.kill()
        with pytest.raises(HarnessError, match="has ended"):
            server.await_goodbye()


def test_a_server_that_cannot_start_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness.redis_server", "--port", "99999"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert "65535" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_and_a_file_that_cannot_be_written_are_said_without_a_traceback(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for options in (["--port", port], ["--clients", str(tmp_path / "none" / "x")]):
            done = subprocess.run(
                [sys.executable, "-m", "harness.redis_server", *options],
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            assert done.returncode == 2
            assert "the embedded Redis cannot start" in done.stderr
            assert "Traceback" not in done.stderr


def test_a_bot_gets_the_url_in_its_environment_and_in_its_command() -> None:
    spec = BotSpec.choose(command=f"{sys.executable} bot.py {{redis_url}}")
    session = Session(port=1, state_dir="s", store="redis", watchlist="w", redis_url="redis://x")
    assert spec.trade_command(session)[-1] == "redis://x"
    assert session.environment == {"REDIS_URL": "redis://x"}
    assert Session(port=1, state_dir="s", store="json", watchlist="w").environment == {}
    with pytest.raises(UserError, match="redis_url"):
        BotSpec.choose(command=f"{sys.executable} {{nothing}}")


def test_what_a_bot_imports_late_is_named_for_the_store_that_needs_it() -> None:
    reference = BotSpec.reference()
    assert reference.imports_for("redis") == ("target_trader.state.redis_store",)
    assert all(importlib.util.find_spec(name) for name in reference.imports_for("redis"))
    assert reference.imports_for("json") == ()
    assert BotSpec.choose(command=f"{sys.executable} bot.py").imports_for("redis") == ()
    for name in ("", "a..b", "a,b", "-m", "a b"):
        with pytest.raises(UserError, match="dotted name"):
            BotSpec(name="x", trade=("x",), state=None, imports={"redis": (name,)})


def test_a_run_does_not_inherit_the_redis_of_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://real-money")
    assert "REDIS_URL" not in base_environment()
    code = "import os; print(os.environ.get('REDIS_URL'))"
    for given, told in ((None, "None"), ({"REDIS_URL": "redis://x"}, "redis://x")):
        _, out, _ = run_to_end([sys.executable, "-c", code], seconds=SECONDS, environment=given)
        assert out.strip() == told
