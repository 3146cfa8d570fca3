"""The product: what loyalty points are, apart from how they are served."""
