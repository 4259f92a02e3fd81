"""Cooly: type a sentence, get a landscape. The app that shows towline_runtime at work."""
