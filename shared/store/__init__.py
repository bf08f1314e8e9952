"""The store: arrays by the SHA-256 of their dtype, shape and bytes.

arrays  the reference to an array, and its bytes
blobs   stores and fetches them: in Redis or behind LIKEWISE_BLOB_URL
files   files behind the URL, and a worker's cache
"""
