"""What gcctl has counted, for the metrics systems that services have: one module for each."""
