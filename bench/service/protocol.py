"""Names that the processes of a trial share."""

HOST = "127.0.0.1"

SETTING = "SERVICE_BENCH"
"""The environment variable that says what the server is to be, in JSON."""

BEGIN = "/_begin"
FIGURES = "/_figures"
"""What the client asks for at the end of the warm-up, and at the end."""
