"""The command line: parse, call a story, show; the one place where errors become exit codes."""
