"""The store: arrays by the SHA-256 of their bytes.

arrays  the reference to an array, and its bytes
blobs   stores and fetches them: in Redis or behind LIKEWISE_BLOB_URL, with a cache on a worker's disk
"""
