"""Who is calling and what they may do. Pure Python: no I/O, no framework, no clock."""
