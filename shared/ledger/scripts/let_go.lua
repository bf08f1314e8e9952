-- End a lease from outside the training.
--
-- KEYS[1]  the run
-- ARGV[1]  the run's id
-- ARGV[2]  why: `died` (its child is dead), `expired` (its worker has not been heard of), `returned` (handed
--          back by a worker that stops, which is not a death)
-- ARGV[3]  the fence of the lease; ignored for `expired`
-- Returns {the state, the queue, 1 where something was changed and else 0}.

despite_full_memory()
local run_id, why, fence = unpack(ARGV)
local record = read_record(KEYS[1])
if record.state ~= 'leased' then
  redis.call('ZREM', LEASED, run_id)
  return {record.state, record.queue, 0}
end
if why == 'expired' then
  if tonumber(record.lease_until) >= tonumber(now) then return {'leased', record.queue, 0} end
elseif record.fence ~= fence then
  return {'leased', record.queue, 0}
end
return {let_go(KEYS[1], record, why ~= 'returned'), record.queue, 1}
