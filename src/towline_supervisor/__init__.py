"""The process engine: runs a few processes as one, as PID 1 of a container or behind a control socket."""

VERSION = "0.1.0"
