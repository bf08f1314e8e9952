-- Name a stored checkpoint in the run's record, and delete the oldest one that is named there.
--
-- It is kept until the run has ended, however long that waits to go on. The run has made progress, so earlier deaths
-- are counted no more.
--
-- KEYS[1]  the run
-- ARGV[1]  the fence of the claim that wrote it
-- ARGV[2]  the checkpoint as JSON (`shared.ledger.checkpoints.CheckpointRef`)
-- Returns 1; 0 where the fence is not the run's any more, the run is final, or a chunk is gone.

local fence, document = unpack(ARGV)
local record = read_record(KEYS[1])
if record.fence ~= fence or (record.state ~= 'leased' and record.state ~= 'queued') then return 0 end
local new = cjson.decode(document)
for _, key in ipairs(chunks_of(record, new)) do
  if redis.call('EXPIRE', key, MOST_RETENTION_S) == 0 then return 0 end
end
local kept = {new}
for _, old in ipairs(checkpoints_of(record)) do
  if old.sha256 == new.sha256 and old.fence == new.fence then return 1 end
  if #kept < KEPT_CHECKPOINTS then
    kept[#kept + 1] = old
  else
    delete_chunks(record, old)
  end
end
redis.call('HSET', KEYS[1], 'checkpoints', cjson.encode(kept), 'deaths', 0)
return 1
