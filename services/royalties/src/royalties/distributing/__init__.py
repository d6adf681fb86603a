"""Distributions at work: who holds what, what is asked of the log, and the process that brings each to its end."""
