"""Background jobs: what a kind of job is made of, and the line in which jobs wait. Handlers live in the services."""
