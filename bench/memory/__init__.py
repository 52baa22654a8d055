"""What gcctl does for memory: given back when it is over its limit, and built within a batch."""
