"""The faults, by what they harm. Importing a module registers its faults."""

from faults.kinds import clock, contention, line, process, schema, server, storage
from faults.kinds.registry import KINDS, Kind

__all__ = ["KINDS", "Kind", "clock", "contention", "line", "process", "schema", "server", "storage"]
