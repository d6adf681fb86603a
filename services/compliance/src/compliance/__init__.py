"""The compliance service. Start reading at domain/; app.py wires it."""
