"""Runs on the queue and back.

routing    which queue a run waits in, and whether a live worker serves it
submit     an experiment as runs, spread over free workers, and put on the ledger
follow     its progress, from anywhere, and why it waits
results    its results, also of a side whose seeds were spread
cleaning   experiments deleted, and their arrays freed
submitted  an experiment by the beginning of its id, and its end by cancelling
"""
