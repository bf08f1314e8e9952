"""`likewise bench`: speed and memory under a protocol that favours nobody.

models      what a bench found
site        on which host the timed runs go
protocol    which variant is timed when, and when to stop
statistics  medians, intervals, outliers, ratios
conclude    from timed runs to the Bench: rows, ranking
warnings    what to know before the times are believed
flow        the timed runs on the queue
"""
