-- Take a queued run, or a leased one whose holder is known to be dead.
--
-- A claim repeated by the child that holds the run gives the same answer, so that a reply lost on the way does
-- no harm. While one worker has a host to itself, no other worker of the host may claim anything; a timed run
-- can only be claimed by such a worker.
--
-- KEYS[1]  the run
-- KEYS[2]  the host
-- ARGV[1]  the worker
-- ARGV[2]  the process id of its child
-- ARGV[3]  the lease in seconds
-- ARGV[4]  the most bytes of a run's document that the worker reads; a longer one ends the run
-- ARGV[5…]  the queues that the worker serves; none stands for all
-- Returns {'claimed', fence, attempt, submitted_s, claimed_s, document, experiment id, framework, side, checkpoints,
-- seconds that earlier attempts have spent}; or {why not}: 'unknown', 'misplaced' (with the lane in which it waits),
-- 'host_taken', 'host_needed', 'leased' (by a live worker), or a final state.

local worker, pid, lease_s, most_bytes = unpack(ARGV, 1, 4)
local record = read_record(KEYS[1])
if record.state == '' then return {'unknown'} end
local served = #ARGV < 5
for i = 5, #ARGV do served = served or ARGV[i] == record.queue end
if record.state == 'queued' and not served then return {'misplaced', record.lane} end
local alone = redis.call('GET', KEYS[2])
if alone and alone ~= worker then return {'host_taken'} end
if record.timed == '1' and not alone and record.state == 'queued' then return {'host_needed'} end
local mine = record.worker == worker
if record.state == 'leased' and not (mine and record.pid == pid) then
  local expired = tonumber(record.lease_until) < tonumber(now)
  if not (mine or expired) then return {'leased'} end
  record.state = let_go(KEYS[1], record, true, '')
  record.let_go_s = now
end
local bytes = redis.call('HSTRLEN', KEYS[1], 'run')
if record.state == 'queued' and bytes > tonumber(most_bytes) then
  settle(KEYS[1], record, 'failed', cjson.encode({
    reason = 'too_large',
    message = string.format(
      'its document has %d bytes, and its worker reads at most %s (LIKEWISE_MAX_RECORD_MB)', bytes, most_bytes)
  }))
  return {'failed'}
end
if record.state == 'queued' then
  -- A fence that is none is replaced by one that is larger than any that was given before.
  if not is_count(record.fence, 15) then
    redis.call('HSET', KEYS[1], 'fence', string.format('%d', tonumber(now) * 1000))
  end
  if not is_count(record.attempt, 9) then redis.call('HSET', KEYS[1], 'attempt', 0) end
  redis.call('HINCRBY', KEYS[1], 'fence', 1)
  redis.call('HINCRBY', KEYS[1], 'attempt', 1)
  record.spent_s = record.spent_s + math.max(0, record.let_go_s - record.claimed_s)
  record.claimed_s = now
  redis.call('HSET', KEYS[1], 'state', 'leased', 'worker', worker, 'pid', pid, 'claimed_s', now,
    'lease_until', later(lease_s), 'lease_s', lease_s, 'spent_s', record.spent_s)
  redis.call('ZREM', queued_key(record.lane), record.run_id)
  redis.call('ZADD', LEASED, later(lease_s), record.run_id)
  announce(record, 'leased')
elseif record.state ~= 'leased' then
  return {record.state}
end
local claim = read(KEYS[1], 'fence', 'attempt', 'run', 'framework', 'side', 'checkpoints')
redis.call('HSET', child_key(worker), 'run_id', record.run_id, 'fence', claim.fence)
return {'claimed', claim.fence, claim.attempt, record.submitted_s, record.claimed_s, claim.run,
  record.experiment_id, claim.framework, claim.side, claim.checkpoints, tostring(record.spent_s)}
