"""The parts of Dockerfiles: stages of one language each, how a process starts, how it is asked whether it is well."""
