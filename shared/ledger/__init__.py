"""The ledger: the records in Redis that alone say where each run stands.

ledger       what every process may read and change: experiments, runs, cancelling, deleting
leases       what only a worker may do: claim a run, renew its lease, finish it, put a lost one back
transitions  the Lua scripts by which a record changes, each in one atomic step
records      what the ledger says of experiments, runs and workers; the stream of progress; who is there
reading      a hash in Redis as a record, or the reason why it is none
host_lease   a machine to oneself while something is timed
checkpoints  the bytes of a run's checkpoints
"""
