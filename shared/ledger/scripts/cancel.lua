-- Cancel a queued run at once, or one whose worker is gone; ask the worker of a leased one to stop.
--
-- KEYS[1]  the run
-- Returns the state that the run is in now, or '' where there is none.

despite_full_memory()
local record = read_record(KEYS[1])
local lost = record.state == 'leased' and tonumber(record.lease_until) < tonumber(now)
if record.state == 'queued' or lost then
  redis.call('HSET', KEYS[1], 'cancel_requested', 1)
  record.worker = ''  -- what is said of a child is its worker's alone to change
  settle(KEYS[1], record, 'cancelled', CANCELLED)
  return 'cancelled'
end
if record.state == 'leased' then redis.call('HSET', KEYS[1], 'cancel_requested', 1) end
return record.state
