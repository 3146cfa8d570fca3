"""Background jobs: what a kind of job is made of, and how a job is added. Handlers live in the services."""
