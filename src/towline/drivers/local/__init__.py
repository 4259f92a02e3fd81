"""The site on this machine: processes under a supervisor, servers from wheels, state in one folder."""
