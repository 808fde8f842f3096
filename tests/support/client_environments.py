"""An environment of its own for each client library, made when it is first asked for.

Two of the clients have the same import name, so they cannot live together, nor beside the project.
An environment lies in a cache folder under a name that follows from what is in it; what is pinned
there is installed with its hashes checked. Processes that ask at once wait for the first.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "tests" / "conformance" / "clients"
CACHE = ROOT / ".venv-clients"
MAKING_SECONDS = 170.0
NODE_PROGRAMS = ("node", "npm")


class ClientEnvironmentError(Exception):
    """An environment could not be made; the message says what its installer said."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file while the block runs; others wait, also in other processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def missing_programs() -> tuple[str, ...]:
    """Return what the Node client needs and this machine does not have."""
    return tuple(name for name in NODE_PROGRAMS if shutil.which(name) is None)


def python_of(client: str) -> Path:
    """Return the interpreter that has a client library and what it needs.

    Args:
        client: Name of a folder of tests/conformance/clients with a requirements.txt.

    Raises:
        ClientEnvironmentError: pip could not install it.
    """
    pins = CLIENTS / client / "requirements.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    def install(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", str(folder)], cwd=ROOT)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _run([*pip, "--require-hashes", "--requirement", str(pins)], cwd=ROOT)

    return _environment(client, [pins.read_bytes(), version.encode()], install) / "bin" / "python"


def node_modules_of(client: str) -> Path:
    """Return the folder whose node_modules holds a client library.

    Raises:
        ClientEnvironmentError: npm could not install it.
    """
    files = [CLIENTS / client / name for name in ("package.json", "package-lock.json")]

    def install(folder: Path) -> None:
        folder.mkdir(parents=True)
        for file in files:
            shutil.copy(file, folder)
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)

    return _environment(client, [file.read_bytes() for file in files], install)


def _environment(client: str, contents: list[bytes], install: Callable[[Path], None]) -> Path:
    """Return the folder of an environment with these contents, made unless it is there."""
    digest = hashlib.sha256(b"\0".join(contents)).hexdigest()[:12]
    folder = CACHE / f"{client}-{digest}"
    ready = folder / ".ready"
    with locked(CACHE / f"{client}-{digest}.lock"):
        if not ready.exists():
            # What an interrupted attempt left is of no use to anybody.
            shutil.rmtree(folder, ignore_errors=True)
            install(folder)
            ready.touch()
    return folder


def _run(command: list[str], *, cwd: Path) -> None:
    # A virtual environment's own variables must not reach into another one.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=MAKING_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip()[-2000:]
        raise ClientEnvironmentError(f"{' '.join(command[:4])} ended with: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise ClientEnvironmentError(
            f"{' '.join(command[:4])} took longer than {MAKING_SECONDS:.0f} s"
        ) from error
