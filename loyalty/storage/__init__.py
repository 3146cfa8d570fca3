"""Tables and SQL: takes a transaction, returns rows and the rules' dataclasses. Nobody here commits."""
