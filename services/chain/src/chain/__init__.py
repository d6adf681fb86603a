"""The chain service: solidified blocks become events. Start reading at domain.py; app.py wires it."""
