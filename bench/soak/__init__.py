"""Whether anything grows, or fails, when a service runs for long."""
