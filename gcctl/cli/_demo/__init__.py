"""What `gcctl demo` measures and how: a service under load, one policy at a time."""
