-- Renew the lease of the run that a worker's child holds, and return how the child is.
--
-- A run that was put back into the queue while this worker was unreachable, and that nobody has claimed since,
-- is taken back.
--
-- KEYS[1]  the child
-- ARGV[1]  the worker
-- ARGV[2]  the lease in seconds
-- Returns {pid, ready, failed, versions, run id, fence, 1 where the run is to be cancelled and else 0, now}; what
-- is not known is ''.

local worker, lease_s = unpack(ARGV)
local child = read(KEYS[1], 'pid', 'ready', 'failed', 'versions', 'run_id', 'fence')
local cancel = '0'
if child.run_id ~= '' then
  local key = run_key(child.run_id)
  local record = read_record(key)
  local open = record.state == 'queued' or (record.state == 'leased' and record.worker == worker)
  if open and record.fence == child.fence then
    redis.call('HSET', key, 'state', 'leased', 'worker', worker, 'lease_until', later(lease_s))
    redis.call('ZREM', queued_key(record.queue), child.run_id)
    redis.call('ZADD', LEASED, later(lease_s), child.run_id)
    redis.call('SET', ACTIVITY, now)
    cancel = record.cancel_requested
  else
    redis.call('HDEL', KEYS[1], 'run_id', 'fence')
    child.run_id = ''
  end
end
if child.pid ~= '' then redis.call('EXPIRE', KEYS[1], CHILD_KEPT_S) end
return {child.pid, child.ready, child.failed, child.versions, child.run_id, child.fence, cancel, now}
