"""What gcctl costs a program: at a boundary, for a recorded pause, for a check of memory."""
