"""From install() to uninstall(): the controller that joins all parts; batch() and hold().

May import all other packages with an underscore.
"""
