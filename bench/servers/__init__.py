"""gcctl in real servers: what its middleware costs, and memory that workers share."""
