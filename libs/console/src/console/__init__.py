"""The console: what runs, what happened and why, and what is to be done, in a browser."""
