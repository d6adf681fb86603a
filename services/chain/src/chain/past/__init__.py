"""What was asked for too late to be recorded when it happened.

adding.py: contracts and ABIs are added to a running service. backfill.py: what a contract logged before it was watched
is read beside the live stream. redecode.py: raw logs are decoded by an ABI that came later. progress.py: how far it is.
"""
