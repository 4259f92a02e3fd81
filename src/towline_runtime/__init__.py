"""What a Python app imports to run background jobs; it knows nothing of the deployer."""
