"""The tests of other projects: does one of them end otherwise under `gcctl run`?"""
