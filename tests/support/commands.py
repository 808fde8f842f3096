"""The type of the `run` fixture of the acceptance tests."""

import subprocess
from collections.abc import Callable

Run = Callable[..., subprocess.CompletedProcess[str]]
