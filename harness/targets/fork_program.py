"""How a fork server finds a Python program, does its imports, and runs it in a fork.

Loaded by its path, standard library only. Nothing of the program itself is run before a fork, only
the imports at the top of its file; a fork then runs the file from its first line as `__main__`,
and comes to an end as an interpreter would.
"""

import _io
import ast
import atexit
import builtins
import contextlib
import gc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

STDOUT_LOST = 120
"""The interpreter's exit code when what was printed could not be written."""
FILE: Any = _io._IOBase  # noqa: SLF001 - io.IOBase asks in Python, which takes 20 times as long
"""What every file is an instance of, those written in Python too."""


class Program(NamedTuple):
    """A program that is ready to be run.

    Attributes:
        code: what is run.
        names: what its `__main__` module knows.
        argument: what it finds as its own name in sys.argv.
    """

    code: types.CodeType
    names: Mapping[str, object]
    argument: str


def load(words: Sequence[str], *, also: Iterable[str] = ()) -> Program:
    """Find a program and do its imports.

    Args:
        words: how it is named on the command line, `-m MODULE` or a file.
        also: modules that it imports late, as far as they can be imported.

    Raises:
        ModuleNotFoundError: there is none that Python would run; executed, it says so itself.
        Exception: whatever an import raises, but for an ImportError.
    """
    program = find_program(words)
    import_like(program)
    for name in also:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    return program


def run(program: Program, *, ended: Callable[[], None]) -> int:
    """Run a program as `__main__`, with the interpreter's own end, and return the exit code.

    `ended` is called when all is done.
    """
    module = types.ModuleType("__main__")
    module.__dict__.update(program.names)
    if "__annotations__" in vars(sys.modules["__main__"]):  # Some interpreters make it beforehand.
        module.__annotations__ = {}
    sys.modules["__main__"] = module
    status = 0
    interrupted = False
    try:
        exec(program.code, module.__dict__)
    except SystemExit as wanted:
        status = status_of(wanted.code)
    except BaseException as error:  # noqa: BLE001 - the interpreter catches it, too
        status, interrupted = 1, isinstance(error, KeyboardInterrupt)
        tell(error)
    threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - waits for the threads
    atexit._run_exitfuncs()  # noqa: SLF001 - only the end of an interpreter does it otherwise
    if not let_go_of_files():
        status = STDOUT_LOST
    ended()
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return status & 0xFF


def status_of(code: object) -> int:
    """What SystemExit's code is as an exit code; words are printed."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    print(code, file=sys.stderr)  # noqa: T201 - as the interpreter does
    return 1


def tell(error: BaseException) -> None:
    """Print the traceback, without the lines that are ours."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def let_go_of_files() -> bool:
    """Do to files and databases what the end of an interpreter does to them.

    They are what is seen from outside: what was written is flushed, and a database that is closed
    has no log left. All other objects are left as they are, which saves 30 ms a run.

    Returns:
        False when what was printed could not be written.
    """
    printed = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            printed = printed and stream is not sys.stdout
    sqlite = sys.modules.get("sqlite3")
    for each in gc.get_objects():  # Those from before the fork are frozen and not among them.
        with contextlib.suppress(Exception):
            if isinstance(each, FILE) and not each.closed:
                each.flush()
            elif sqlite is not None and isinstance(each, sqlite.Connection):
                each.close()
    return printed


def find_program(words: Sequence[str]) -> Program:
    """Find the code of a program, and set sys.path as the interpreter does for it.

    Raises:
        ModuleNotFoundError: there is none that Python would run.
    """
    if words[0] != "-m":
        return find_file(words[0])
    place_on_path(str(Path.cwd()))
    spec = importlib.util.find_spec(words[1])
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{words[1]}.__main__")
    if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
        raise ModuleNotFoundError(f"{words[1]} is no module with a source")
    code = spec.loader.get_code(spec.name)
    assert code is not None, "a module with a source has code"
    assert spec.origin is not None, "a module with a source has a file"
    names = {
        "__builtins__": builtins,
        "__file__": spec.origin,
        "__cached__": spec.cached,
        "__doc__": None,
        "__loader__": spec.loader,
        "__package__": spec.parent,
        "__spec__": spec,
    }
    return Program(code, names, spec.origin)


def find_file(path: str) -> Program:
    """Find the code of a file."""
    place_on_path(str(Path(path).resolve().parent))
    full = str(Path(path).absolute())
    code = compile(Path(full).read_bytes(), full, "exec", dont_inherit=True)
    names = {
        "__builtins__": builtins,
        "__file__": full,
        "__cached__": None,
        "__doc__": None,
        "__loader__": importlib.machinery.SourceFileLoader("__main__", full),
        "__package__": None,
        "__spec__": None,
    }
    return Program(code, names, path)


def place_on_path(folder: str) -> None:
    """Put the program's folder where the interpreter has put ours."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def import_like(program: Program) -> None:
    """Carry out the imports at the top of a program's file, and nothing else of it.

    An import that fails is left to the program, which may be prepared for it.
    """
    path = str(program.names["__file__"])
    names = {**program.names, "__name__": "crashgate_imports"}
    for statement in top_imports(ast.parse(Path(path).read_bytes())):
        part = ast.Module([statement], type_ignores=[])
        with contextlib.suppress(ImportError):
            exec(compile(part, path, "exec", dont_inherit=True), names)


def top_imports(tree: ast.Module) -> Iterator[ast.stmt]:
    """The imports that a file carries out whatever its arguments are."""
    for statement in tree.body:
        for each in statement.body if isinstance(statement, ast.Try) else [statement]:
            future = isinstance(each, ast.ImportFrom) and each.module == "__future__"
            if isinstance(each, ast.Import | ast.ImportFrom) and not future:
                yield each
