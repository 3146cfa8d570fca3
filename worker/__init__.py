"""Background work: the relay of events, the readers of their log, jobs, and sweeps of what is due."""
