"""The fixtures every test may ask for."""

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.tenants",
    "tests.fixtures.snapshots",
    "tests.fixtures.statements",
    "tests.fixtures.invariants",
]
