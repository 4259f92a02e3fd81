"""What the folders of services say of the languages they are written in: one file a language."""
