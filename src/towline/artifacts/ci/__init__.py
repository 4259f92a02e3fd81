"""The workflows of a target: what is tested, built, deployed, migrated and backed up, and by which steps."""
