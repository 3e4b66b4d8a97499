"""From tables of any size to an event log, out of core: spool (read and encode), rows (drop and sort), stream (the whole way)."""
