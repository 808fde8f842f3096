"""One embedded Redis for a whole test run, and a place in it for every test."""

import atexit
import contextlib
import functools
import hashlib
import shutil
import tempfile
from pathlib import Path

from harness.redis_process import RedisProcess, running_redis


@functools.cache
def embedded_redis() -> RedisProcess:
    """Start the Redis of this process, once; it ends with the process."""
    folder = Path(tempfile.mkdtemp(prefix="redis-for-tests-"))
    cleanup = contextlib.ExitStack()
    cleanup.callback(shutil.rmtree, folder)
    process = cleanup.enter_context(running_redis(folder))
    atexit.register(cleanup.close)
    return process


def redis_url(folder: Path) -> str:
    """Return a URL whose state no other folder has."""
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return f"{embedded_redis().url}/{name}"
