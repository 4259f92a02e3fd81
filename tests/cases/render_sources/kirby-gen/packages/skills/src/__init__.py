"""The skills service."""
