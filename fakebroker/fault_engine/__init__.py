"""What faults do to messages and books."""

from fakebroker.fault_engine.engine import FaultEngine, FaultError

__all__ = ["FaultEngine", "FaultError"]
