-- Say what a worker is, which counts until the time to live has passed. Workers that are gone are forgotten.
--
-- KEYS[1]  the worker
-- ARGV[1]  its id
-- ARGV[2]  its presence as JSON
-- ARGV[3]  the time to live in seconds

despite_full_memory()
local id, document, lives_s = unpack(ARGV)
redis.call('SET', KEYS[1], document, 'EX', lives_s)
redis.call('SADD', WORKERS, id)
for _, other in ipairs(redis.call('SMEMBERS', WORKERS)) do
  if redis.call('EXISTS', WORKER .. other) == 0 then redis.call('SREM', WORKERS, other) end
end
