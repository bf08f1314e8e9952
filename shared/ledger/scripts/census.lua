-- Return the server's time in microseconds, then the documents of the live workers.
--
-- Workers that are gone are taken from the set; a beat puts one back. It has no keys and no arguments.

local found = {clock[1] .. string.format('%06d', clock[2])}
for _, worker in ipairs(redis.call('SMEMBERS', WORKERS)) do
  local document = redis.call('GET', WORKER .. worker)
  if document then table.insert(found, document) else redis.call('SREM', WORKERS, worker) end
end
return found
