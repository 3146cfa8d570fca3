"""Measurements that are too long for the tests: each builds its own data, says what it measured, and cleans up."""
