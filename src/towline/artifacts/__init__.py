"""What a placement becomes on its sites: instances, environments, routes, files."""
