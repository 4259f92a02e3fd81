"""Postcards: upload a photo with a greeting, get a postcard."""
