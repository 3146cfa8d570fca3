"""The caller, and the caller's permissions. Pure Python: no I/O, no framework, no clock."""
