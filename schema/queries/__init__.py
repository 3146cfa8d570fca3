"""The queries, a module for each noun."""
