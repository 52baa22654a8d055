"""Full collections beside the process, and what they found.

May import _config and what that may import.
"""
