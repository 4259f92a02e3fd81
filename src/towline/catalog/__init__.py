"""What can be bought: plans, prices and limits, each with its source and its date."""
