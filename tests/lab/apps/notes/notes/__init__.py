"""Notes: one page, one table."""
