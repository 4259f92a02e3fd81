"""Which service and store goes where, and what that means; pure."""
