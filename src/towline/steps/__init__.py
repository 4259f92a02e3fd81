"""One thing to do and how to undo it, as data; and the protocol of whoever does it."""
