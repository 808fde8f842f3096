"""What can go wrong, as data."""

from fakebroker.faults.catalog import KINDS, AnyFault, Fault, FaultFileError, parse_faults

__all__ = ["KINDS", "AnyFault", "Fault", "FaultFileError", "parse_faults"]
