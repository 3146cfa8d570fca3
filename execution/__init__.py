"""A breadth-first executor of GraphQL operations: a plan per document, each field resolved once for a whole list.

It knows graphql-core and strawberry, and nothing of this service. README.md says how it works and what it demands.
"""
