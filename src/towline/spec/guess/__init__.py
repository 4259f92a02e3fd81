"""What `towline init` proposes: a page guessed from what lies in a project, each line with its reason."""
