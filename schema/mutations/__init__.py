"""The mutations, a module for each: its input, its payload, and the few lines between them."""
