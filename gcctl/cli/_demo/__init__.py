"""What `gcctl demo` measures, and how: each scenario, and the processes that it runs."""
