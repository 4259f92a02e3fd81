"""What the user wrote: read, checked and resolved until nothing optional remains."""
