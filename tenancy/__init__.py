"""Tenants, and the only way to their rows."""
