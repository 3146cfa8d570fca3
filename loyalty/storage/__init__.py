"""Tables and SQL. The functions take a transaction and return rows or dataclasses of the rules.

None of them commits.
"""
