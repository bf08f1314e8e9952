-- Make a run final and hand its result to Celery's result backend, in one step.
--
-- A run that was put back into the queue, and that nobody has claimed since, may still be finished.
--
-- KEYS[1]   the run
-- KEYS[2]   its result
-- ARGV[1]   the fence of the claim that trained it
-- ARGV[2]   the final state
-- ARGV[3]   the failure as JSON, or ''
-- ARGV[4]   the result as Celery's backend stores it
-- ARGV[5]   the arrays in Redis that the result refers to, as JSON: the SHA-256 of each and the number of its chunks
-- ARGV[6…]  the progress events that were not sent yet, as JSON
-- Returns 1; 0 where the fence is not the run's any more, or the run is final in another state.

local fence, state, failure, payload, arrays = unpack(ARGV, 1, 5)
local record = read_record(KEYS[1])
if record.fence ~= fence then return 0 end
if record.state ~= 'leased' and record.state ~= 'queued' then return record.state == state and 1 or 0 end
for i = 6, #ARGV do
  redis.call('XADD', PROGRESS .. record.experiment_id, 'MAXLEN', '~', STREAM_LENGTH, '*', 'event', ARGV[i])
end
redis.call('SET', KEYS[2], payload, 'EX', record.retention_s)
redis.call('PUBLISH', KEYS[2], payload)
if redis.call('HGET', experiment_key(record.experiment_id), 'unfinished') then
  want(record.experiment_id, KEYS[1], arrays)
end
settle(KEYS[1], record, state, failure)
return 1
