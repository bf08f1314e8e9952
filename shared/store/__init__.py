"""The store: arrays by the SHA-256 of their bytes.

arrays  the reference to an array, and its bytes
blobs   stores and fetches arrays: in Redis, or behind LIKEWISE_BLOB_URL
cache   a bounded cache of arrays on a worker's disk
files   files behind LIKEWISE_BLOB_URL
"""
