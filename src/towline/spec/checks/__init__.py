"""The checks of an app, one file a subject; each yields findings and none stops another."""
