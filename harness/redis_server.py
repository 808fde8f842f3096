"""The embedded Redis: fakeredis's TCP server as a process of its own, on loopback only.

    python -m harness.redis_server [--port 0] [--ready-fd N] [--clients FILE]
                                   [--contents FILE]

It keeps everything in memory, so it has to outlive the bot that is killed. When it listens it
writes one line, `{"port": N}`, to `--ready-fd` or to stdout. `--clients` names a file to which it
appends `+PORT` and `-PORT` for every connection that comes and goes. `--contents` names a JSON file
with what it holds from the start: each key with its DUMP in base64. Between two commands it
sleeps: the harness must be able to see that nothing is going on.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.embedded_redis import EmbeddedRedis, fill, read_contents

NEVER_SECONDS = 86_400.0
CANNOT_START = 2
PORT_MAX = 65535


def main(arguments: Sequence[str]) -> int:
    """Serve a Redis on 127.0.0.1 until the process is ended; the exit code if it cannot."""
    options = parser().parse_args(arguments)
    clients = None if options.clients is None else Path(options.clients)
    try:
        server = EmbeddedRedis(options.port, clients=clients)
        if options.contents is not None:
            fill(server.fake_server, read_contents(Path(options.contents)))
    except OSError as error:
        words = f"the embedded Redis cannot start on port {options.port}: {error}"
        print(words, file=sys.stderr)  # noqa: T201 - this is the command line
        return CANNOT_START
    with server:
        line = json.dumps({"port": server.server_address[1]}) + "\n"
        os.write(options.ready_fd, line.encode())
        server.serve_forever(poll_interval=NEVER_SECONDS)
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(
        prog="python -m harness.redis_server", description="A Redis on 127.0.0.1."
    )
    made.add_argument("--port", type=port_number, default=0, help="0 takes a free one")
    made.add_argument("--ready-fd", type=int, default=1, help="where to say that it listens")
    made.add_argument("--clients", help="file for who comes and goes")
    made.add_argument("--contents", help="file with what it holds from the start")
    return made


def port_number(text: str) -> int:
    """A port, or 0.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) > PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to {PORT_MAX}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
