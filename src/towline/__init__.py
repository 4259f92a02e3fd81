"""Towline runs one app anywhere, from one Compose file and one page that says where."""

__version__ = "0.1.0"
