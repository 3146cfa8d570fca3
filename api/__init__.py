"""The HTTP edge: credentials, requests, sockets and health.

It knows HTTP and GraphQL's transports, and no rule of loyalty.
"""
