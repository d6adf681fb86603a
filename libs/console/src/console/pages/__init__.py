"""The pages: a module for each, with its routes; the templates have the same names."""
