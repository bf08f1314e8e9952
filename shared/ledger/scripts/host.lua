-- Queue a program that a worker is to host. It belongs to no experiment: who asks it follows it by its run.
--
-- KEYS[1]  the run
-- ARGV[1]  its id
-- ARGV[2]  its framework
-- ARGV[3]  its side
-- ARGV[4]  its queue
-- ARGV[5]  the lane of that queue in which it waits
-- ARGV[6]  its document
-- ARGV[7]  the retention in seconds

local id, framework, side, queue, lane, document, retention = unpack(ARGV, 1, 7)
redis.call('HSET', KEYS[1], 'run_id', id, 'experiment_id', id, 'framework', framework, 'side', side,
  'queue', queue, 'lane', lane, 'state', 'queued', 'attempt', 0, 'fence', 0, 'deaths', 0, 'submitted_s', now,
  'cancel_requested', 0, 'retention_s', retention, 'timed', 0, 'run', document)
redis.call('EXPIRE', KEYS[1], retention)
redis.call('ZADD', queued_key(lane), now, id)
redis.call('SET', ACTIVITY, now)
