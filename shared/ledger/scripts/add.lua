-- Write an experiment and its queued runs, or find the experiment that an idempotency key stands for.
--
-- An experiment that belongs to another, such as its float64 twin, is not listed, but found through the other.
-- What waits or trains has no retention, nor have its data: that counts from the end of the experiment's last run,
-- so that nothing vanishes before.
--
-- KEYS[1]   the experiment
-- KEYS[2]   the submission, by its idempotency key, which stands for the experiment for as long as that is kept
-- ARGV[1]   the experiment's id
-- ARGV[2]   the experiment as JSON
-- ARGV[3]   the ids of its runs as JSON
-- ARGV[4]   the retention in seconds
-- ARGV[5]   the idempotency key, or ''
-- ARGV[6]   the relation to the experiment that this one belongs to, or ''
-- ARGV[7]   that experiment's id, or ''
-- ARGV[8]   the priority of its runs
-- ARGV[9]   its kind, such as `bench`
-- ARGV[10]  its tags as JSON
-- ARGV[11]  its note, or ''
-- ARGV[12]  the arrays that its runs refer to, as JSON: the SHA-256 of each and the number of its chunks
-- ARGV[13…] seven for each run: its id, framework, side, queue, the lane of that queue in which it waits, document
--           ('' where it is stored already), and 1 where it is timed, else 0
-- Returns the id of the stored experiment: ARGV[1], or that of the key; '' where the experiment
-- that it belongs to was cancelled or deleted, and nothing is written.

local id, document, run_ids, retention, keyed, relation, parent, priority = unpack(ARGV, 1, 8)
local kind, tags, note, arrays = unpack(ARGV, 9, 12)
local parent_key = experiment_key(parent)
local gone = parent ~= '' and redis.call('EXISTS', parent_key) == 0
if gone or redis.call('HEXISTS', parent_key, 'cancelled') == 1 then return '' end
local lives_s = #ARGV > 12 and MOST_RETENTION_S or retention
if keyed ~= '' then
  local known = redis.call('GET', KEYS[2])
  if known and redis.call('EXISTS', experiment_key(known)) == 1 then return known end
  redis.call('SET', KEYS[2], id, 'EX', lives_s)
  redis.call('HSET', KEYS[1], 'key', keyed)
end
redis.call('ZREM', SUBMITTING, id)
redis.call('HSET', KEYS[1], 'experiment', document, 'run_ids', run_ids, 'submitted_s', now,
  'priority', priority, 'kind', kind, 'tags', tags, 'note', note, 'unfinished', (#ARGV - 12) / 7)
redis.call('EXPIRE', KEYS[1], lives_s)
want(id, KEYS[1], arrays)
if parent == '' then
  redis.call('ZADD', EXPERIMENTS, now, id)
else
  redis.call('HSET', parent_key, RELATED .. relation, id)
end
redis.call('SET', ACTIVITY, now)
for i = 13, #ARGV, 7 do
  local run_id, framework, side, queue, lane, run, timed = unpack(ARGV, i, i + 6)
  local key = run_key(run_id)
  redis.call('HSET', key, 'run_id', run_id, 'experiment_id', id, 'framework', framework, 'side', side,
    'queue', queue, 'lane', lane,
    'state', 'queued', 'attempt', 0, 'fence', 0, 'deaths', 0, 'submitted_s', now,
    'cancel_requested', 0, 'retention_s', retention, 'timed', timed)
  if run ~= '' then redis.call('HSET', key, 'run', run) end
  redis.call('EXPIRE', key, MOST_RETENTION_S)
  redis.call('ZADD', queued_key(lane), now, run_id)
end
return id
