"""Becomes another program that is no superuser over files: permissions bite for root, too.

    python -I -S humble.py PROGRAM [ARGUMENT ...]

On Linux CAP_DAC_OVERRIDE is taken out of the set that root's programs are given at their start; all
else stays. For an ordinary user nothing changes. It imports nothing of the harness.
"""

import os
import sys

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE = 1
CANNOT_START = 127


def main(program: list[str]) -> None:
    """Give the power up and become the program."""
    if sys.platform == "linux" and os.geteuid() == 0:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) != 0:
            os.write(2, b"crashgate: CAP_DAC_OVERRIDE cannot be given up\n")
            os._exit(CANNOT_START)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        os.write(2, f"cannot start {program[0]}: {error.strerror}\n".encode())
        os._exit(CANNOT_START)


if __name__ == "__main__":
    main(sys.argv[1:])
