"""Runs on the queue and back: submit, follow, collect.

runs, submit    an experiment as runs, spread over free workers, and put on the ledger
follow          its progress, from anywhere
collect, merge  its results
lookup          an experiment by the beginning of its id
"""
