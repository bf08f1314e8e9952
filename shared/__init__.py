"""The contract both sides agree on: jobs, runs, results, names. Imports no framework."""
