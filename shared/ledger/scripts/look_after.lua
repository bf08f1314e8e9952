-- Renew the lease of the run that a worker's child holds, and say again what is known of the child.
--
-- What the child's hash has of its run goes before what the worker says, since a claim writes it at once. Where the
-- hash is gone, because Redis was away for long or was emptied, the worker's word restores it. A run that was put
-- back into the queue while this worker was unreachable, and that nobody has claimed since, is taken back.
--
-- KEYS[1]  the child
-- ARGV[1]  the worker
-- ARGV[2]  the lease in seconds
-- ARGV[3]  the child's process id, or '' where there is no child
-- ARGV[4]  the run that the child says it holds, or ''
-- ARGV[5]  the fence of its claim
-- Returns {run id, fence, 1 where the run is to be cancelled and else 0, now}; without a run, its id is ''.

despite_full_memory()
local worker, lease_s, pid, said_run_id, said_fence = unpack(ARGV)
local child = read(KEYS[1], 'run_id', 'fence')
if child.run_id == '' then child = {run_id = said_run_id, fence = said_fence} end
local cancel = '0'
if child.run_id ~= '' then
  local key = run_key(child.run_id)
  local record = read_record(key)
  local open = record.state == 'queued' or (record.state == 'leased' and record.worker == worker)
  if open and record.fence == child.fence then
    redis.call('HSET', key, 'state', 'leased', 'worker', worker, 'lease_until', later(lease_s))
    redis.call('ZREM', queued_key(record.queue), child.run_id)
    redis.call('ZADD', LEASED, later(lease_s), child.run_id)
    redis.call('HSET', KEYS[1], 'run_id', child.run_id, 'fence', child.fence)
    redis.call('SET', ACTIVITY, now)
    cancel = record.cancel_requested
  else
    redis.call('HDEL', KEYS[1], 'run_id', 'fence')
    child.run_id = ''
  end
end
if pid ~= '' then
  redis.call('HSET', KEYS[1], 'pid', pid)
  redis.call('EXPIRE', KEYS[1], CHILD_KEPT_S)
end
return {child.run_id, child.fence, cancel, now}
