"""What gcctl has counted, for the metrics systems of services: one module for each.

May import the packages of gcctl, but not integrations or the command line.
"""
