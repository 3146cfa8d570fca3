"""What every process needs before it can work: settings, logs, a PostgreSQL server, database roles.

Only the command line and the tests import this package; everyone else gets values as arguments.
"""
