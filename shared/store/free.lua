-- Remove an array, unless it was stored since a moment: what is under way may refer to it without a record saying so.
--
-- KEYS[1]  its first chunk
-- KEYS[2]  the set of who wants it
-- ARGV[1]  the retention with which it was stored, where no set says when that was, in seconds
-- ARGV[2]  that moment by the server's clock, in seconds
-- Returns {the bytes that were freed, 1 where it was stored since and is kept, else 0}.

local clock = redis.call('TIME')
local left_ms = redis.call('PTTL', KEYS[1])
local stored
local known = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(+inf', 'WITHSCORES')
for i = 1, #known, 2 do
  if known[i] == 'stored' then stored = tonumber(known[i + 1]) end
end
if not stored and left_ms ~= -2 then
  stored = tonumber(clock[1]) + tonumber(clock[2]) / 1e6 - tonumber(ARGV[1]) + left_ms / 1000
end
if stored and stored >= tonumber(ARGV[2]) then return {0, 1} end
local freed, chunk, key = 0, 0, KEYS[1]
while redis.call('EXISTS', key) == 1 do
  freed, chunk = freed + redis.call('STRLEN', key), chunk + 1
  redis.call('UNLINK', key)
  key = KEYS[1]:gsub('0$', tostring(chunk))
end
redis.call('UNLINK', KEYS[2])
return {freed, 0}
