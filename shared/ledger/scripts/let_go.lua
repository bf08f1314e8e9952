-- End a lease from outside the training.
--
-- KEYS[1]  the run
-- ARGV[1]  the run's id
-- ARGV[2]  why: `died` (its child is dead), `expired` (its worker has not been heard of), `returned` (handed
--          back by a worker that stops, which is not a death), `hung` (its training stood still), `out_of_memory`
--          (its container has killed it, and would again), `time_limit` (it took longer than it may)
-- ARGV[3]  the fence of the lease; ignored for `expired`
-- ARGV[4]  what is told of it where it ends the run
-- Returns {the state, the queue, 1 where something was changed and else 0}.

despite_full_memory()
local run_id, why, fence, note = unpack(ARGV)
local record = read_record(KEYS[1])
if record.state ~= 'leased' then
  redis.call('ZREM', LEASED, run_id)
  return {record.state, record.queue, 0}
end
if why == 'expired' then
  local lease_s = number(record.lease_s)
  if lease_s and tonumber(record.lease_until) > tonumber(now) + lease_s + AHEAD_S then
    -- The server's clock was set back. The holder has the time of a lease to be heard of.
    redis.call('HSET', KEYS[1], 'lease_until', later(lease_s))
    redis.call('ZADD', LEASED, later(lease_s), run_id)
  end
  if tonumber(record.lease_until) >= tonumber(now) then return {'leased', record.queue, 0} end
elseif record.fence ~= fence then
  return {'leased', record.queue, 0}
end
local hangs = tonumber(record.hangs) + 1
if why == 'hung' then redis.call('HSET', KEYS[1], 'hangs', hangs) end
local ends = why == 'out_of_memory' or why == 'time_limit' or (why == 'hung' and hangs >= MAX_HANGS)
if ends and record.cancel_requested ~= '1' then
  settle(KEYS[1], record, 'failed', cjson.encode({reason = why, message = note}))
  return {'failed', record.queue, 1}
end
return {let_go(KEYS[1], record, why == 'died' or why == 'expired', note), record.queue, 1}
