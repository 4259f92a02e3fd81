"""Rehearse on your own machine: faults that can be made at will, and a site that exists only in memory."""
