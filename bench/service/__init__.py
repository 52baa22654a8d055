"""A web service under each way of collecting garbage."""
