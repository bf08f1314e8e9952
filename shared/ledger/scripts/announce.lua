-- Say what a worker is, which counts until the time to live has passed.
--
-- KEYS[1]  the worker
-- ARGV[1]  its id
-- ARGV[2]  its presence as JSON
-- ARGV[3]  the time to live in seconds

despite_full_memory()
local id, document, lives_s = unpack(ARGV)
redis.call('SET', KEYS[1], document, 'EX', lives_s)
redis.call('SADD', WORKERS, id)
