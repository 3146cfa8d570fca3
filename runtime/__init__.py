"""The needs of every process before it can work: settings, logs, a PostgreSQL server, database roles.

Only the command line and the tests import this package; all other code gets values as arguments.
"""
