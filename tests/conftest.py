"""The fixtures every test may ask for, and no log lines in between."""

import structlog

# The default renderer prints every local variable of a traceback, which took one test two minutes.
structlog.configure(
    processors=[structlog.processors.JSONRenderer(default=repr)], logger_factory=structlog.ReturnLoggerFactory()
)

pytest_plugins = [
    "tests.fixtures.examples",
    "tests.fixtures.left_out",
    "tests.fixtures.database",
    "tests.fixtures.tenants",
    "tests.fixtures.snapshots",
    "tests.fixtures.statements",
    "tests.fixtures.invariants",
]
