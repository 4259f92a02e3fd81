"""From what should be to what is: plans, the engine that obeys them, and the journal that recovery is computed from."""
