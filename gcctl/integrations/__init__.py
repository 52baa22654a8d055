"""Where requests come from: one module for each server and framework, to be imported by name.

May import the packages of gcctl, but not exporters or the command line. `import gcctl` imports
nothing of it. Each module imports its own framework and no other.
"""
