"""How much the tests of this room try: they take seconds together. But for CI, each run has other examples."""

from hypothesis import settings

settings.register_profile("unit", settings.default, max_examples=40)
settings.load_profile("unit")
