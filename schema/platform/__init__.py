"""The platform's own small schema: what it does with tenants. No type of a tenant's schema stands in it."""
