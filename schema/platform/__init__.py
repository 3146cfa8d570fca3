"""The platform's own small schema: its work on tenants. No type of a tenant's schema is in it."""
