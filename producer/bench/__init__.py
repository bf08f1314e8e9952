"""`likewise bench` measures speed and memory under a protocol that favours nobody.

models    what a bench says, and of whom
protocol  who is timed and when, when to stop, and the statistics of the times
conclude  from timed runs to the Bench: rows, ranking, warnings
flow      the timed runs on the queue, and what is said meanwhile
"""
