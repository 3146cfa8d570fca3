"""The object types of the API, a module for each noun."""
