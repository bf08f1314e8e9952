-- Store chunks of arrays, or only let those live on that are there. No life is shortened: an array is shared by all that
-- refer to the same bytes, and another may want it for longer.
--
-- KEYS      the chunks
-- ARGV[1]   the least time that each is to live from now on, in seconds
-- ARGV[2…]  the bytes of each; none where those that are there are only to live on
-- Returns how many of them are there.

local clock, lives_s, there = redis.call('TIME'), tonumber(ARGV[1]), 0
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
for i, key in ipairs(KEYS) do
  local left_ms = redis.call('PTTL', key)
  if ARGV[i + 1] then
    redis.call('SET', key, ARGV[i + 1], 'KEEPTTL')
  end
  if ARGV[i + 1] or left_ms ~= -2 then
    there = there + 1
    if left_ms ~= -1 and left_ms < lives_s * 1000 then redis.call('EXPIRE', key, lives_s) end
    local wanted = key:gsub(':%d+$', ':wanted')
    if redis.call('EXISTS', wanted) == 1 then
      redis.call('ZADD', wanted, 'GT', string.format('%.6f', now), 'stored', string.format('%.6f', now + lives_s), 'until')
    end
  end
end
return there
