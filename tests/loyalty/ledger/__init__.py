"""Tests of the ledger floor."""
