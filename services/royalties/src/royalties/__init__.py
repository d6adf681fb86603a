"""The royalties service. Start reading at domain/books.py; app.py wires it."""
