"""What every room stands on: errors, secrets, units, files, processes, events."""
