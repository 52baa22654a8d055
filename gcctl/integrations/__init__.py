"""Where people's requests are: one module for each server and framework, imported by name.

Nothing here is imported by `import gcctl`, and each module imports its framework only itself.
"""
