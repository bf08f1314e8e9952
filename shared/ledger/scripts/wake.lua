-- Note that a message is about to be sent for a queued run.
--
-- KEYS[1]  the set of the runs that wait in the lane
-- ARGV[1]  the run's id
-- ARGV[2]  the time of its last message, as it was when the set was read
-- Returns 1; 0 where another worker has done so meanwhile, or the run does not wait any more.

local run_id, seen = unpack(ARGV)
local since = redis.call('ZSCORE', KEYS[1], run_id)
if not since or tonumber(since) ~= tonumber(seen) then return 0 end
if redis.call('HGET', run_key(run_id), 'state') ~= 'queued' then
  redis.call('ZREM', KEYS[1], run_id)
  return 0
end
redis.call('ZADD', KEYS[1], now, run_id)
return 1
