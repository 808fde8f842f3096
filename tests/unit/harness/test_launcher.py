"""Executed or forked: a Python program must not be able to tell, and neither must we."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.targets.launcher import SERVERS_MAX, ForkLauncher, program_of
from harness.targets.process import EXEC, Child, Launcher

SECONDS = 30.0


@pytest.fixture
def fork() -> Iterator[ForkLauncher]:
    """A launcher that forks."""
    with ForkLauncher() as launcher:
        yield launcher


@pytest.fixture(params=["exec", "fork"])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    """Each way to start a program."""
    if request.param == "exec":
        yield EXEC
        return
    with ForkLauncher() as forks:
        yield forks


def program(folder: Path, text: str) -> str:
    """A Python file with this text."""
    path = folder / "program.py"
    path.write_text(text)
    return str(path)


def told(launcher: Launcher, *words: str, **environment: str) -> tuple[int, str, str]:
    """Run a Python program to its end."""
    command = [sys.executable, *words]
    return launcher.run_to_end(command, seconds=SECONDS, environment=environment)


def is_forked(launcher: ForkLauncher, *words: str, **environment: str) -> bool:
    """Whether a program is forked; it has to print its parent's process id."""
    code, out, err = told(launcher, *words, **environment)
    assert code == 0, err
    return int(out.split()[-1]) != os.getpid()


PARENT = "import os\nprint(os.getppid())\n"

LOOKS = """
import os, sys
print(__name__, __file__, __package__, __spec__ and __spec__.name, __doc__, __cached__)
print(sys.argv, sys.orig_argv[1:], sys.path[0], os.getcwd(), sys.stdin.read() == "")
print(sorted(int(each) for each in os.listdir("/proc/self/fd"))[:-1])
print(os.getpgid(0) == os.getpid(), os.environ["FAILPOINTS"], os.environ.get("ABSENT"))
print(sys.modules["__main__"].__dict__ is globals(), sys.stdout.isatty(), sys.flags)
print(sorted(name for name in globals() if name not in ("os", "sys")))
print(hash("a word"), str(__import__("signal").getsignal(2)))
"""


def test_a_program_finds_itself_as_if_it_had_been_executed(
    fork: ForkLauncher, tmp_path: Path
) -> None:
    path = program(tmp_path, LOOKS)
    given = ("--store", "json")
    executed = told(EXEC, path, *given, FAILPOINTS="x=kill")
    assert told(fork, path, *given, FAILPOINTS="x=kill") == executed
    assert (executed[0], executed[2]) == (0, "")


def test_a_module_finds_itself_as_if_it_had_been_executed(
    fork: ForkLauncher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "looking"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(LOOKS)
    monkeypatch.chdir(tmp_path)
    executed = told(EXEC, "-m", "looking", "state", FAILPOINTS="x=kill")
    assert told(fork, "-m", "looking", "state", FAILPOINTS="x=kill") == executed
    assert "looking.__main__" in executed[1]


ENDS = {
    "its last line": "",
    "exit": "sys.exit()",
    "a code": "sys.exit(3)",
    "a code of more than a byte": "sys.exit(257)",
    "a negative code": "sys.exit(-2)",
    "words": "sys.exit('no such thing')",
    "at once": "os._exit(4)",
    "a signal": "os.kill(os.getpid(), signal.SIGKILL)",
    "Ctrl-C": "raise KeyboardInterrupt",
    "an error": "def inner():\n raise ValueError('bad')\ninner()",
    "an error that is no exception": "raise GeneratorExit('bad')",
    "bad syntax further in": "exec('1 +')",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_program_ends_as_if_it_had_been_executed(
    fork: ForkLauncher, tmp_path: Path, end: str
) -> None:
    text = f"import atexit, os, signal, sys\natexit.register(print, 'farewell')\n{ENDS[end]}\n"
    path = program(tmp_path, text)
    assert told(fork, path) == told(EXEC, path)


def test_what_is_open_at_the_end_is_written(launcher: Launcher, tmp_path: Path) -> None:
    path = program(
        tmp_path,
        "import atexit, sqlite3, sys, threading, time\n"
        f"kept = open({str(tmp_path / 'kept')!r}, 'w')\n"
        "kept.write('written')\n"
        f"base = sqlite3.connect({str(tmp_path / 'base')!r})\n"
        "base.execute('PRAGMA journal_mode=WAL')\n"
        "base.execute('CREATE TABLE a (b)')\n"
        "base.commit()\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()\n"
        "sys.stdout.write('no end of line')\n",
    )
    code, out, err = told(launcher, path)
    assert (code, err) == (0, "")
    assert out == "no end of linelate\n"
    assert (tmp_path / "kept").read_text() == "written"
    assert not (tmp_path / "base-wal").exists(), "the database was not closed"


def test_descriptors_have_the_numbers_of_the_command(launcher: Launcher, tmp_path: Path) -> None:
    path = program(tmp_path, "import os, sys\nos.write(int(sys.argv[1]), b'here')\n")
    read, write = os.pipe()
    child = launcher.launch([sys.executable, path, str(write)], tmp_path / "log", pass_fds=[write])
    os.close(write)
    assert os.read(read, 10) == b"here"
    assert os.read(read, 10) == b"", "somebody else has it, too"
    os.close(read)
    assert child.exits_within(SECONDS)
    child.end()


def test_output_and_errors_go_to_the_log_in_their_order(launcher: Launcher, tmp_path: Path) -> None:
    text = "import sys\nfor i in range(3):\n print(i)\n print(-i, file=sys.stderr)\n"
    child = launcher.launch([sys.executable, program(tmp_path, text)], tmp_path / "log")
    assert child.exits_within(SECONDS)
    child.end()
    assert child.last_lines() == ["0", "0", "1", "-1", "2", "-2"]


def test_a_program_that_hangs_is_killed_and_said(launcher: Launcher, tmp_path: Path) -> None:
    path = program(tmp_path, "import signal\nsignal.pause()\n")
    with pytest.raises(HarnessError, match=r"did not end within 0.3 s and was killed"):
        launcher.run_to_end([sys.executable, path], seconds=0.3)


def waiting(launcher: Launcher, folder: Path) -> tuple[Child, int]:
    """A program that waits, and the process id of one that it has started."""
    text = (
        "import signal, subprocess, sys\n"
        "code = 'import signal; signal.pause()'\n"
        "print(subprocess.Popen([sys.executable, '-c', code]).pid)\n"
        "signal.pause()\n"
    )
    child = launcher.launch([sys.executable, program(folder, text)], folder / "log")
    while not child.last_lines():
        assert not child.exits_within(0.01), child.last_lines()
    return child, int(child.last_lines()[0])


def gone(pidfd: int) -> bool:
    """Whether a process ends soon."""
    readable, _, _ = select.select([pidfd], [], [], SECONDS)
    os.close(pidfd)
    return bool(readable)


def test_a_kill_takes_along_what_the_program_has_started(
    launcher: Launcher, tmp_path: Path
) -> None:
    child, grandchild = waiting(launcher, tmp_path)
    watched = os.pidfd_open(grandchild)
    assert child.kill() == -signal.SIGKILL
    assert gone(watched)
    child.end()


def test_a_process_id_is_not_given_away_before_it_is_let_go(
    launcher: Launcher, tmp_path: Path
) -> None:
    child = launcher.launch([sys.executable, program(tmp_path, "")], tmp_path / "log")
    assert child.exits_within(SECONDS)
    assert child.exit_code() == 0
    assert "Z" in Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2]
    child.end()
    assert not Path(f"/proc/{child.pid}").exists()


def test_what_was_forked_dies_with_its_launcher(tmp_path: Path) -> None:
    with ForkLauncher() as launcher:
        child, _ = waiting(launcher, tmp_path)
        watched = os.pidfd_open(child.pid)
    assert gone(watched)


def test_what_was_forked_dies_with_a_harness_that_is_killed(tmp_path: Path) -> None:
    path = program(tmp_path, "import os, signal\nprint(os.getpid())\nsignal.pause()\n")
    code = f"""
from harness.targets.launcher import ForkLauncher
from pathlib import Path
import signal, sys
child = ForkLauncher().launch([sys.executable, {path!r}], Path({str(tmp_path / "log")!r}))
while not child.last_lines() and not child.exits_within(0.01):
    pass
print(child.pid, flush=True)
signal.pause()
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    watched = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(watched), "it outlived the harness"


def test_the_imports_are_done_once_and_the_program_is_run_each_time(
    fork: ForkLauncher, tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text("import os\nprint('imported by', os.getpid())\n")
    path = program(tmp_path, "import os, slow\nprint('run')\nprint(os.getppid())\n")
    first, second = told(fork, path), told(fork, path)
    assert first == second
    assert first[1].startswith("run\n"), "it was imported in the fork"


def test_a_file_that_was_changed_is_forked_anew(fork: ForkLauncher, tmp_path: Path) -> None:
    assert told(fork, program(tmp_path, "print(1)"))[1] == "1\n"
    assert told(fork, program(tmp_path, "print('two')"))[1] == "two\n"


UNFIT = {
    "a thread": "import threading\n"
    "threading.Thread(target=threading.Event().wait, daemon=True).start()",
    "an open file": "kept = open(__file__)",
    "its arguments": "import sys\nfirst = sys.argv[1:]",
    "an error": "if FIRST: raise ValueError('bad')",
    "an end": "import sys\nif FIRST: sys.exit()",
    "a crash": "import os\nif FIRST: os._exit(9)",
    "an event loop that is in use": "import asyncio, socket\nloop = asyncio.new_event_loop()\n"
    "ends = socket.socketpair()\nloop.add_reader(ends[0], print)",
}
FIRST = """
import pathlib
mark = pathlib.Path(__file__).with_name("mark")
FIRST = not mark.exists()
mark.touch()
"""


@pytest.mark.parametrize("what", [None, *UNFIT])
def test_a_program_whose_imports_leave_something_behind_is_executed(
    fork: ForkLauncher, tmp_path: Path, what: str | None
) -> None:
    (tmp_path / "side.py").write_text(FIRST + ("" if what is None else UNFIT[what]))
    path = program(tmp_path, f"import side\n{PARENT}")
    assert is_forked(fork, path, "state") is (what is None)


def test_a_program_that_reads_a_variable_in_an_import_is_executed_when_that_differs(
    fork: ForkLauncher, tmp_path: Path
) -> None:
    (tmp_path / "side.py").write_text("import os\nfound = os.environ.get('FAILPOINTS')\n")
    path = program(tmp_path, f"import side\nprint(side.found)\n{PARENT}")
    assert is_forked(fork, path)
    assert not is_forked(fork, path, FAILPOINTS="x=kill")
    assert told(fork, path, FAILPOINTS="x=kill")[1].startswith("x=kill\n")
    assert is_forked(fork, path, REDIS_URL="redis://x")
    assert not is_forked(fork, path, PYTHONPATH=str(tmp_path)), "read before its first line"


def test_a_program_that_reads_all_variables_in_an_import_is_executed_when_any_differs(
    fork: ForkLauncher, tmp_path: Path
) -> None:
    (tmp_path / "side.py").write_text("import os\nfound = dict(os.environ)\n")
    path = program(tmp_path, f"import side\n{PARENT}")
    assert is_forked(fork, path)
    assert not is_forked(fork, path, REDIS_URL="redis://x")


def test_a_file_without_a_guard_is_not_run_before_its_fork(
    fork: ForkLauncher, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    path = program(tmp_path, f"import os\nopen({str(mark)!r}, 'a').write('x')\n{PARENT}")
    assert is_forked(fork, path)
    assert mark.read_text() == "x"


def test_an_event_loop_of_an_import_belongs_to_one_fork(fork: ForkLauncher, tmp_path: Path) -> None:
    (tmp_path / "side.py").write_text("import asyncio\nloop = asyncio.new_event_loop()\n")
    text = (
        "import asyncio, os, side, sys\n"
        "async def wait():\n"
        " come = asyncio.Event()\n"
        " side.loop.add_reader(int(sys.argv[1]), come.set)\n"
        " print('listens')\n"
        " await come.wait()\n"
        " print('heard', os.read(int(sys.argv[1]), 1))\n"
        "side.loop.run_until_complete(wait())\n"
        "print(os.getppid())\n"
    )
    path = program(tmp_path, text)
    children = []
    for number in range(2):
        read, write = os.pipe()
        command = [sys.executable, path, str(read)]
        child = fork.launch(command, tmp_path / f"log{number}", pass_fds=[read])
        os.close(read)
        while not child.last_lines():
            assert not child.exits_within(0.01), child.last_lines()
        children.append((child, write))
    for child, write in children:
        os.write(write, b"!")
        assert child.exits_within(SECONDS), "it was not woken"
        child.end()
        os.close(write)
        *words, parent = child.last_lines()
        assert words == ["listens", "heard b'!'"]
        assert int(parent) != os.getpid(), "it was not forked"


def test_what_a_fork_imported_late_is_there_for_the_next_one(
    fork: ForkLauncher, tmp_path: Path
) -> None:
    text = (
        "import os, sys\n"
        "print('colorsys' in sys.modules, 'side' in sys.modules)\n"
        "def late():\n import colorsys, side\n"
        "late()\nprint(os.getppid())\n"
    )
    (tmp_path / "side.py").write_text("")
    path = program(tmp_path, text)
    assert told(fork, path)[1].startswith("False False\n")
    # A part of a library is learned; what belongs to the program is imported when it says so.
    assert told(fork, path)[1].startswith("True False\n")
    assert is_forked(fork, path)


SAYS_SIDE = "import os, sys\nprint('side' in sys.modules)\nprint(os.getppid())\n"


def test_what_is_named_is_there_for_every_fork(fork: ForkLauncher, tmp_path: Path) -> None:
    (tmp_path / "side.py").write_text("")
    path = program(tmp_path, SAYS_SIDE)

    def said(*imports: str) -> tuple[str, int]:
        command = [sys.executable, path]
        code, out, err = fork.run_to_end(command, seconds=SECONDS, imports=imports)
        assert code == 0, err
        first, parent = out.split()
        return first, int(parent)

    there, server = said("side")
    plain, other = said()
    assert (there, plain) == ("True", "False")
    assert os.getpid() not in {server, other}
    assert server != other
    assert said("side") == (there, server)


def test_a_named_module_that_is_not_there_is_left_to_the_program(
    fork: ForkLauncher, tmp_path: Path
) -> None:
    command = [sys.executable, program(tmp_path, SAYS_SIDE)]
    code, out, _ = fork.run_to_end(command, seconds=SECONDS, imports=["side", "side.deeper"])
    assert code == 0
    assert out.startswith("False\n")
    assert int(out.split()[-1]) != os.getpid()


def test_who_executes_imports_nothing_for_the_program(tmp_path: Path) -> None:
    (tmp_path / "side.py").write_text("")
    command = [sys.executable, program(tmp_path, SAYS_SIDE)]
    code, out, _ = EXEC.run_to_end(command, seconds=SECONDS, imports=["side"])
    assert (code, out.split()[0]) == (0, "False")


def test_two_forks_do_not_draw_the_same_numbers(fork: ForkLauncher, tmp_path: Path) -> None:
    path = program(
        tmp_path, "import random, numpy.random\nprint(random.random(), numpy.random.rand())\n"
    )
    (_, one, _), (_, two, _) = told(fork, path), told(fork, path)
    drawn = {*one.split(), *two.split()}
    assert len(drawn) == 4


def test_other_commands_are_executed(fork: ForkLauncher, tmp_path: Path) -> None:
    assert program_of(["/bin/echo", "a"]) is None
    assert program_of([sys.executable, "-c", "print()"]) is None
    assert program_of([sys.executable, "-X", "dev", "bot.py"]) is None
    assert program_of([sys.executable]) is None
    assert program_of([sys.executable, "-m", "bot", "trade"]) == ("-m", "bot")
    assert told(fork, "-c", "print(5)") == (0, "5\n", "")
    assert fork.run_to_end(["/bin/echo", "a"], seconds=SECONDS) == (0, "a\n", "")
    for missing in (["-m", "no_such_module"], [str(tmp_path / "none.py")]):
        assert told(fork, *missing) == told(EXEC, *missing)
        assert told(fork, *missing)[0] != 0


def test_a_server_that_has_died_is_an_error_and_is_replaced(
    fork: ForkLauncher, tmp_path: Path
) -> None:
    path = program(tmp_path, "import signal\nsignal.pause()\n")
    child = fork.launch([sys.executable, path], tmp_path / "log")
    server = fork.warm([sys.executable, path])
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    # It has ended with its server, and nobody can tell how.
    with pytest.raises(HarnessError, match="fork server"):
        child.exits_within(SECONDS)
    again = fork.launch([sys.executable, path], tmp_path / "log")
    assert again.exit_code() is None
    again.end()


def test_only_so_many_servers_wait_for_work(fork: ForkLauncher, tmp_path: Path) -> None:
    for number in range(SERVERS_MAX + 2):
        path = tmp_path / f"bot{number}.py"
        path.write_text(PARENT)
        assert is_forked(fork, str(path))
    assert len(fork.servers) == SERVERS_MAX
