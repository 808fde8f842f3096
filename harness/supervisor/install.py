"""Runs inside the process that becomes the bot: from here on its calls wait for our word.

Standard library only, and loadable by path: the tether runs it with `-I -S` before it becomes the
bot. The filter reports the calls of `numbers.py` to whoever holds the listener, and the process
waits until somebody does. Nothing between the installation and the hand-over may be reported, so
the two sides speak by a closed pipe and a read, which are not.
"""

import ctypes
import errno
import importlib.util
import os
import struct
from pathlib import Path
from types import ModuleType

PR_SET_NO_NEW_PRIVS = 38
SET_MODE_FILTER = 1
NEW_LISTENER = 1 << 3
WAIT_KILLABLE = 1 << 5  # A harmless signal must not make the call start, and be reported, again.

LOAD_WORD = 0x20
JUMP_EQUAL = 0x15
JUMP_GREATER = 0x25
JUMP_ANY_BIT = 0x45
RETURN = 0x06
ALLOW = 0x7FFF0000
NOTIFY = 0x7FC00000
NUMBER_AT, MACHINE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
STANDARD_OUTPUT = 1

Instruction = tuple[int, int, int, int]


def install(ready: int, go: int) -> None:
    """Install the filter in this process, and wait until its listener has been taken.

    Args:
        ready: the writing end of a pipe; closed when the filter is in place. Words on it say why
            it is not.
        go: the reading end of a pipe; a byte on it says that the listener has been taken.

    Raises:
        OSError: this kernel or this sandbox does not allow it.
    """
    only = os.environ.pop(numbers().ONLY, "")
    try:
        listener = listen(only.split())
    except OSError as error:
        os.write(ready, f"{error}".encode())
        raise
    os.close(ready)
    os.read(go, 1)
    os.close(go)
    os.close(listener)


def listen(only: list[str]) -> int:
    """Install the filter and return its listener.

    Args:
        only: the calls to report, by the kernel's names; none: all that are known.

    Raises:
        OSError: the machine is unknown, or the kernel refuses.
    """
    found = numbers().of_this_machine()
    if found is None:
        raise OSError(errno.ENOSYS, "no numbers of system calls are known for this machine")
    machine, seccomp, known = found
    calls = {name: number for name, number in known.items() if not only or name in only}
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS) was refused")
    code = b"".join(struct.pack("=HBBI", *each) for each in program(machine, calls))
    text = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(
        struct.pack("@HP", len(code) // 8, ctypes.addressof(text)), 16
    )
    for flags in (NEW_LISTENER | WAIT_KILLABLE, NEW_LISTENER):
        listener: int = libc.syscall(
            ctypes.c_long(seccomp),
            ctypes.c_uint(SET_MODE_FILTER),
            ctypes.c_uint(flags),
            ctypes.byref(header),
        )
        if listener >= 0:
            return listener
        if ctypes.get_errno() != errno.EINVAL:
            break
    raise OSError(ctypes.get_errno(), "seccomp(2) refused the filter")


def program(machine: int, calls: dict[str, int]) -> list[Instruction]:
    """The filter in the kernel's packet filter language, one tuple an instruction.

    Args:
        machine: the audit number of the machine; calls of other machines are let through.
        calls: the calls to report, by name.
    """
    known = numbers()
    code: list[Instruction] = [
        (LOAD_WORD, 0, 0, MACHINE_AT),
        (JUMP_EQUAL, 1, 0, machine),
        (RETURN, 0, 0, ALLOW),
        (LOAD_WORD, 0, 0, NUMBER_AT),
    ]
    for name, number in calls.items():
        if name in known.FLAGS_AT:
            place = FIRST_ARGUMENT_AT + 8 * known.FLAGS_AT[name]
            test: Instruction = (JUMP_ANY_BIT, 0, 1, WRITING_FLAGS)
        elif name in known.NOT_ON_STANDARD_STREAMS:
            place, test = FIRST_ARGUMENT_AT, (JUMP_GREATER, 0, 1, STANDARD_OUTPUT)
        else:
            code += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, NOTIFY)]
            continue
        code += [
            (JUMP_EQUAL, 0, 4, number),
            (LOAD_WORD, 0, 0, place),
            test,
            (RETURN, 0, 0, NOTIFY),
            (RETURN, 0, 0, ALLOW),
        ]
    return [*code, (RETURN, 0, 0, ALLOW)]


def numbers() -> ModuleType:
    """The module `numbers.py` beside this file, by path: there may be no package to import."""
    spec = importlib.util.spec_from_file_location(
        "crashgate_numbers", Path(__file__).with_name("numbers.py")
    )
    assert spec is not None, "a path that ends in .py has a spec"
    assert spec.loader is not None, "a path that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
