"""What `gcctl demo` measures, and how: a module for each scenario. Its processes are in a folder.

May import the packages of gcctl, but not integrations or exporters.
"""
