-- Renew the lease of the run that a worker's child holds, and say again what is known of the child.
--
-- Only the worker's word counts: what the child's hash says of its run is for others to read, and whoever can write
-- to it can end nothing. A child that is just claiming a run knows no fence yet; then the record has it, where the
-- claim is that child's. A run that was put back into the queue while this worker was unreachable, and that nobody
-- has claimed since, is taken back.
--
-- KEYS[1]  the child
-- ARGV[1]  the worker
-- ARGV[2]  the lease in seconds
-- ARGV[3]  the child's process id, or '' where there is no child
-- ARGV[4]  the run that the child says it holds, or ''
-- ARGV[5]  the fence of its claim; 0 while it is claiming
-- Returns {run id, fence, 1 where the run is to be cancelled and else 0, now}; without a run, its id is ''.

despite_full_memory()
local worker, lease_s, pid, run_id, fence = unpack(ARGV)
local cancel = '0'
if run_id ~= '' then
  local key = run_key(run_id)
  local record = read_record(key)
  local ours = record.state == 'leased' and record.worker == worker
  if fence == '0' and ours and record.pid == pid then fence = record.fence end
  if (ours or record.state == 'queued') and fence ~= '0' and record.fence == fence then
    redis.call('HSET', key, 'state', 'leased', 'worker', worker, 'lease_until', later(lease_s),
      'lease_s', lease_s)
    redis.call('ZREM', queued_key(record.lane), run_id)
    redis.call('ZADD', LEASED, later(lease_s), run_id)
    redis.call('HSET', KEYS[1], 'run_id', run_id, 'fence', fence)
    redis.call('SET', ACTIVITY, now)
    cancel = record.cancel_requested == '1' and '1' or '0'
  else
    run_id = ''
  end
end
if run_id == '' then redis.call('HDEL', KEYS[1], 'run_id', 'fence') end
if pid ~= '' then
  redis.call('HSET', KEYS[1], 'pid', pid)
  redis.call('EXPIRE', KEYS[1], CHILD_KEPT_S)
end
return {run_id, fence, cancel, now}
