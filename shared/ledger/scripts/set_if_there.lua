-- Set a field of an experiment, if the experiment is still there: one that was deleted must not come back.
--
-- KEYS[1]  the experiment
-- ARGV[1]  the field
-- ARGV[2]  its value
-- Returns the number of fields that are new.

despite_full_memory()
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
