"""The demonstration: a cast of artists and listeners, what they do on the chain, and what Annals makes of it."""
