"""The rewards service. Start reading at domain.py; app.py wires it."""
