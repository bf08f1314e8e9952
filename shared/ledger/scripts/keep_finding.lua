-- Keep what was found of an experiment, if the experiment is still there: one that was deleted must not come back.
--
-- KEYS[1]  the experiment
-- KEYS[2]  its findings
-- ARGV[1]  the kind of the finding
-- ARGV[2]  the finding as JSON
-- ARGV[3]  `complete`, or `partial` where more of it was to come
-- ARGV[4]  the retention in seconds
-- Returns 1 where it is kept, else 0.

local kind, document, whole, retention = unpack(ARGV)
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], kind, document)
redis.call('EXPIRE', KEYS[2], retention)
redis.call('HSET', KEYS[1], FINDING .. kind, whole)
return 1
