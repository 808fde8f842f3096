"""Becomes another program that dies with the process that started it.

    python -I -S tether.py PARENT_PID [--filter READY GO] PROGRAM [ARGUMENT ...]

On Linux the kernel is asked for a SIGKILL when the parent dies (PR_SET_PDEATHSIG survives exec),
so nothing is left behind even when the harness itself is killed. It is a program and not a
`preexec_fn`, because code between fork and exec is not safe in a process that has threads.
Elsewhere it only becomes the program. It imports nothing of the harness and starts in 15 ms.

With `--filter` the calls of the program are reported to a supervisor from its first one on; the
numbers are the descriptors that `harness/supervisor/install.py` speaks over. The fork server loads
this file by its path and uses the same two functions.
"""

import os
import sys

PR_SET_PDEATHSIG = 1
SIGKILL = 9
CANNOT_START = 127
FILTER = "--filter"


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the program."""
    parent, program = int(arguments[0]), arguments[1:]
    tie_to(parent)
    if program[0] == FILTER:
        report_calls(ready=int(program[1]), go=int(program[2]))
        program = program[3:]
    try:
        os.execvp(program[0], program)
    except OSError as error:
        os.write(2, f"cannot start {program[0]}: {error.strerror}\n".encode())
        os._exit(CANNOT_START)


def tie_to(parent: int) -> None:
    """Die when the parent dies; end at once when it is dead already."""
    if sys.platform != "linux":
        return
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0:
        os.write(2, b"crashgate: prctl(PR_SET_PDEATHSIG) failed\n")
        os._exit(CANNOT_START)
    if os.getppid() != parent:
        # The parent died before the request was made.
        os._exit(CANNOT_START)


def report_calls(*, ready: int, go: int) -> None:
    """Let a supervisor answer the calls of this process from here on; end where it may not."""
    path = os.path.join(  # noqa: PTH118 - pathlib takes 5 ms to import, a third of this program
        os.path.dirname(os.path.dirname(os.path.abspath(__file__))),  # noqa: PTH100, PTH120 - too
        "supervisor",
        "install.py",
    )
    names: dict[str, object] = {"__name__": "crashgate_install", "__file__": path}
    try:
        with open(path, "rb") as source:  # noqa: PTH123 - the same
            exec(compile(source.read(), path, "exec", dont_inherit=True), names)
        install = names["install"]
        assert callable(install), "install.py has a function of that name"
        install(ready, go)
    except OSError as error:
        os.write(2, f"crashgate: the calls cannot be reported: {error}\n".encode())
        os._exit(CANNOT_START)


if __name__ == "__main__":
    main(sys.argv[1:])
