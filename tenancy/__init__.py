"""Which tenant, and the only door to its rows."""
