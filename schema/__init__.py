"""The GraphQL surface: types, queries, mutations, subscriptions. No rules and no SQL here."""

import schema.enums  # noqa: F401 - publishes the enums with their descriptions before any type names one
