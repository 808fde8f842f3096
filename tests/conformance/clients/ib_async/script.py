"""The conformance script on ib_async 2.1, which continues ib_insync."""

import ib_async
from conformance.insync import Script
from conformance.reporting import read_port, run_steps

if __name__ == "__main__":
    run_steps(Script(ib_async, read_port()).steps())
