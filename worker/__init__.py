"""Background work: giving committed events their place in the log, working off jobs."""
