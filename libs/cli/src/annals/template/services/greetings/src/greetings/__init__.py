"""The greetings service. Start reading at domain.py; app.py wires it."""
