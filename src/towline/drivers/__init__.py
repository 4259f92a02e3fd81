"""The only code that touches a site: one package for each kind of place."""
