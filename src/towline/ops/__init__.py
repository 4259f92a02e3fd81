"""The stories: each operation a user asks for, told on one page."""
