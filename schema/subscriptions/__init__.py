"""The subscriptions, a module for each."""
