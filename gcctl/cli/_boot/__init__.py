"""What turns a starting python into one under the controller: see `gcctl.cli.run`."""

ORDER_VARIABLE = "_GCCTL_RUN"
"""The environment variable that carries, as JSON, what is to be done.

Its name is none of the `GCCTL_...` ones, which are configuration.
"""
