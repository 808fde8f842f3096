"""Becomes another program that dies with the process that started it.

    python -I -S tether.py PARENT_PID PROGRAM [ARGUMENT ...]

On Linux the kernel is asked for a SIGKILL when the parent dies (PR_SET_PDEATHSIG survives exec),
so nothing is left behind even when the harness itself is killed. It is a program and not a
`preexec_fn`, because code between fork and exec is not safe in a process that has threads.
Elsewhere it only becomes the program. It imports nothing of the harness and starts in 15 ms.
"""

import os
import sys

PR_SET_PDEATHSIG = 1
SIGKILL = 9
CANNOT_START = 127


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the program."""
    parent, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        import ctypes

        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0:
            os.write(2, b"crashgate: prctl(PR_SET_PDEATHSIG) failed\n")
            os._exit(CANNOT_START)
        if os.getppid() != parent:
            # The parent died before the request was made.
            os._exit(CANNOT_START)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        os.write(2, f"cannot start {program[0]}: {error.strerror}\n".encode())
        os._exit(CANNOT_START)


if __name__ == "__main__":
    main(sys.argv[1:])
