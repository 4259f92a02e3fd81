"""Analyses what the API hands over."""
