"""What turns a starting python into one under the controller: see `gcctl.cli.run`."""

ORDER_VARIABLE = "_GCCTL_RUN"
"""The environment variable that says what is to be done, in hexadecimal what `marshal` makes of
it. (The module `json` takes longer to import.)

Its name is none of the `GCCTL_...` ones, which are configuration.
"""
