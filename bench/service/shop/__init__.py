"""A small shop in Django: what a working developer writes, with nothing done for the bench."""
