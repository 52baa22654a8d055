"""What explicit collections cost under gcctl."""
