"""A machine over SSH: one connection, one program a batch, the journal beside each act."""
