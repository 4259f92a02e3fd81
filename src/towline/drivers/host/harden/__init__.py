"""The items that make a bare machine a hardened one: a file of shell fragments each, and how they are put together."""
