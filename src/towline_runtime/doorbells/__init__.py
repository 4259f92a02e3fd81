"""The transports: each passes tests/contract/test_doorbells.py."""
