"""Processes of the server: what they wait for, how they start, work and stop."""
