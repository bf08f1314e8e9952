-- What the scripts share. `shared.ledger.transitions` puts the names of the keys and the limits, as locals in
-- capitals, before this file, and one script after it. A run's record is described there.

local clock = redis.call('TIME')
-- The server's time in seconds, as text with six decimals.
local now = string.format('%d.%06d', clock[1], clock[2])

-- Let this script write although Redis is full. Redis refuses a script's commands that may take memory only as
-- long as it has written nothing; what comes after this frees memory, or is small and must not fail.
local function despite_full_memory() redis.call('DEL', NOTHING) end

local function run_key(run_id) return RUN .. run_id end
local function queued_key(lane) return QUEUED .. lane end
local function child_key(worker) return CHILD .. worker end
local function experiment_key(experiment_id) return EXPERIMENT .. experiment_id end

-- Return some fields of a hash by name; an absent one is the empty string.
local function read(key, ...)
  local values = redis.call('HMGET', key, ...)
  local fields = {}
  for i, name in ipairs({...}) do fields[name] = values[i] or '' end
  return fields
end

-- Return the text of a number as one, or nil: Lua takes "nan", "inf", "0x10" and " 1" for numbers, too, and Redis not.
local function number(text)
  local found = text:find('^%d[%d.eE+-]*$') and tonumber(text)
  if found and found >= 0 and found < 1e15 then return found end
end

-- Return whether a text is a count that HINCRBY takes, of at most so many digits: it refuses zeros before a number.
local function is_count(text, digits)
  return #text <= digits and (text == '0' or text:find('^[1-9]%d*$') ~= nil)
end

-- Return what the transitions need of a run's record.
--
-- A number that is none, as after a record was edited by hand, must not keep the run from its end.
local function read_record(key)
  local record = read(key, 'run_id', 'experiment_id', 'queue', 'state', 'fence', 'worker', 'pid', 'deaths',
    'hangs', 'lease_until', 'lease_s', 'cancel_requested', 'retention_s', 'timed', 'checkpoints', 'submitted_s', 'lane',
    'claimed_s', 'spent_s', 'let_go_s', 'attempt')
  local retention_s = number(record.retention_s)
  local possible = retention_s and retention_s >= 1 and retention_s <= MOST_RETENTION_S
  record.retention_s = possible and string.format('%d', retention_s) or LEAST_RETENTION_S
  for _, name in ipairs({'deaths', 'hangs', 'lease_until', 'submitted_s', 'claimed_s', 'spent_s', 'let_go_s'}) do
    if not number(record[name]) then record[name] = '0' end
  end
  if record.lane == '' then record.lane = record.queue end
  return record
end

local function later(seconds) return string.format('%.6f', tonumber(now) + seconds) end

-- Append the run's new state to its experiment's progress.
local function announce(record, state)
  local key = PROGRESS .. record.experiment_id
  redis.call('XADD', key, 'MAXLEN', '~', STREAM_LENGTH, '*', 'run', record.run_id, 'state', state)
  redis.call('EXPIRE', key, record.retention_s)
end

-- Note that the child no longer holds the run (unless it holds another one by now).
local function free_child(record)
  if record.worker == '' then return end
  local key = child_key(record.worker)
  if redis.call('HGET', key, 'run_id') == record.run_id then redis.call('HDEL', key, 'run_id', 'fence') end
end

-- Return the keys of one checkpoint's chunks.
local function chunks_of(record, checkpoint)
  local keys = {}
  for chunk = 0, math.min(checkpoint.chunks, MOST_CHUNKS) - 1 do
    keys[chunk + 1] =
      string.format(CHECKPOINT_CHUNK, record.run_id, checkpoint.fence, checkpoint.sha256, chunk)
  end
  return keys
end

-- Return the checkpoints that the record names, as far as they can be read.
local function checkpoints_of(record)
  local whole, listed = pcall(cjson.decode, record.checkpoints)
  local found = {}
  for _, one in ipairs(whole and type(listed) == 'table' and listed or {}) do
    if type(one) == 'table' then found[#found + 1] = one end
  end
  return found
end

local function delete_chunks(record, checkpoint)
  local whole, keys = pcall(chunks_of, record, checkpoint)
  if whole and #keys > 0 then redis.call('UNLINK', unpack(keys)) end
end

local function wanted_key(sha256) return BLOB .. sha256 .. ':wanted' end

-- Return what a text holds as a JSON list; an empty one where it was edited into none.
local function listed(text)
  local whole, found = pcall(cjson.decode, text or '')
  return whole and type(found) == 'table' and found or {}
end

-- Give the chunks of an array, and what is known of who wants it, a time to live.
local function let_live(sha256, chunks, seconds)
  for chunk = 0, math.min(chunks, MOST_CHUNKS) - 1 do
    redis.call('EXPIRE', BLOB .. sha256 .. ':' .. chunk, seconds)
  end
  redis.call('EXPIRE', wanted_key(sha256), seconds)
end

-- Let the arrays in Redis that a document refers to live for as long as an experiment has not ended, and note them in
-- a hash. `arrays` is a JSON list of the SHA-256 of each and the number of its chunks.
local function want(experiment_id, noted_in, arrays)
  if arrays == '[]' then return end
  for _, array in ipairs(listed(arrays)) do
    local sha256, chunks = unpack(array)
    local key = wanted_key(sha256)
    local left_ms = redis.call('PTTL', BLOB .. sha256 .. ':0')
    if left_ms > 0 then
      if redis.call('EXISTS', key) == 0 then
        redis.call('ZADD', key, now, 'stored', later(left_ms / 1000), 'until')
      end
      redis.call('ZADD', key, '+inf', experiment_id)
      let_live(sha256, chunks, MOST_RETENTION_S)
    end
  end
  redis.call('HSET', noted_in, 'arrays', arrays)
end

-- An experiment that has ended wants its arrays for the retention. Each lives for as long as any other wants it.
local function want_no_longer(experiment_id, noted_in, retention_s)
  for _, array in ipairs(listed(redis.call('HGET', noted_in, 'arrays'))) do
    local sha256, chunks = type(array) == 'table' and array[1], type(array) == 'table' and array[2]
    if type(sha256) == 'string' and type(chunks) == 'number' then
      local key = wanted_key(sha256)
      if redis.call('ZREM', key, experiment_id) == 1 then
        redis.call('ZADD', key, 'GT', later(retention_s), 'until')
        if #redis.call('ZRANGEBYSCORE', key, '+inf', '+inf', 'LIMIT', 0, 1) == 0 then
          local known = redis.call('ZRANGEBYSCORE', key, '-inf', '+inf', 'WITHSCORES')
          let_live(sha256, chunks, math.ceil(math.min(known[#known] - now, MOST_RETENTION_S)))
        end
      end
    end
  end
end

-- Count one run less of an experiment that has not ended. With the last one the retention of all begins: of the
-- experiment, its runs, their results, and the arrays that these refer to.
local function end_of_run(key, record)
  local experiment_id = record.experiment_id
  local experiment = experiment_key(experiment_id)
  local left = redis.call('HGET', experiment, 'unfinished')
  if left then
    left = (number(left) or 0) - 1
    redis.call('HSET', experiment, 'unfinished', left)
    if left > 0 then
      redis.call('EXPIRE', key, MOST_RETENTION_S)
      redis.call('EXPIRE', RESULT .. record.run_id, MOST_RETENTION_S)
      return
    end
    want_no_longer(experiment_id, experiment, record.retention_s)
    for _, run_id in ipairs(listed(redis.call('HGET', experiment, 'run_ids'))) do
      if type(run_id) == 'string' then
        want_no_longer(experiment_id, run_key(run_id), record.retention_s)
        redis.call('EXPIRE', run_key(run_id), record.retention_s)
        redis.call('EXPIRE', RESULT .. run_id, record.retention_s)
      end
    end
  end
  redis.call('EXPIRE', key, record.retention_s)
  redis.call('EXPIRE', experiment, record.retention_s)
  local submission = redis.call('HGET', experiment, 'key')
  -- A user whose rights are of an earlier version may not touch it, which must not keep a run from its end.
  if submission and redis.pcall('GET', SUBMISSION .. submission) == experiment_id then
    redis.pcall('EXPIRE', SUBMISSION .. submission, record.retention_s)
  end
end

-- Make a state final. With the last run of an experiment its retention begins.
local function settle(key, record, state, failure)
  redis.call('HSET', key, 'state', state, 'finished_s', now, 'failure', failure)
  redis.call('ZREM', queued_key(record.lane), record.run_id)
  redis.call('ZREM', LEASED, record.run_id)
  end_of_run(key, record)
  for _, checkpoint in ipairs(checkpoints_of(record)) do delete_chunks(record, checkpoint) end
  redis.call('HDEL', key, 'checkpoints')
  free_child(record)
  announce(record, state)
end

local CANCELLED = cjson.encode({reason = 'cancelled', message = 'cancelled'})

-- End a lease without a result: the run is cancelled if that was asked for, given up after too many deaths,
-- and else queued again: in the first lane of its queue, dated by its submission, so that it comes before all
-- others. Return the new state. The child's hash keeps the run and its fence, so that a worker that was only
-- unreachable for a while can take the run back (see look_after.lua). The `note`, if it is not '', says what is
-- known of a death.
local function let_go(key, record, died, note)
  local deaths = tonumber(record.deaths)
  if died then
    deaths = deaths + 1
    redis.call('HSET', key, 'deaths', deaths)
  end
  if record.cancel_requested == '1' then
    settle(key, record, 'cancelled', CANCELLED)
    return 'cancelled'
  end
  if deaths >= MAX_DEATHS then
    settle(key, record, 'failed', cjson.encode({
      reason = 'worker_lost',
      message = string.format(
        'given up: %d workers died while training it, the last one %s', deaths, record.worker)
        .. (note ~= '' and ': ' .. note or '')
    }))
    return 'failed'
  end
  redis.call('ZREM', LEASED, record.run_id)
  record.lane = record.queue
  redis.call('ZADD', queued_key(record.lane), record.submitted_s, record.run_id)
  redis.call('HSET', key, 'state', 'queued', 'worker', '', 'lane', record.lane, 'let_go_s', now)
  announce(record, 'queued')
  return 'queued'
end
