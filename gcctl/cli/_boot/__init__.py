"""Installs gcctl in a python that is starting, before the program runs: see `gcctl.cli.run`."""

ORDER_VARIABLE = "_GCCTL_RUN"
"""The environment variable with the order: what to install and to report. It holds the output of
`marshal` in hexadecimal, because importing `json` takes longer.

It does not begin with `GCCTL_`, because those variables are the configuration.
"""
