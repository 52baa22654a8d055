"""How long concurrent full collections stop a process, and what they cost it."""
