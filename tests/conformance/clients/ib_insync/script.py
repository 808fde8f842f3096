"""The conformance script on ib_insync 0.9.86, the library that most bots in the field run on."""

import ib_insync
from conformance.insync import Script
from conformance.reporting import read_port, run_steps

if __name__ == "__main__":
    run_steps(Script(ib_insync, read_port()).steps())
