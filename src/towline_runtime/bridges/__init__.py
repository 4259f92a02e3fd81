"""Ways in and out for apps that are not written in Python."""
