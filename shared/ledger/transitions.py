"""The ledger's transitions as Lua: each is one atomic step that refuses what no longer fits.

    queued ──CLAIM──> leased ──FINISH──> succeeded | failed | cancelled
       │                │
       │                └─LET_GO──> queued, or cancelled where that was asked for, or failed after MAX_DEATHS
       └─CANCEL──> cancelled            (CANCEL only marks a leased run; its worker then stops)

Each claim raises the run's fence; a worker that comes with an older fence has lost the run and changes
nothing.

A run's record is a hash. Besides the fields of `RunRecord` it holds `run` (the document), `deaths`
(workers that died with it since its last checkpoint), `pid` (the child that holds it), `lease_until`,
`retention_s`, and `checkpoints` (`shared.ledger.checkpoints.CheckpointRef` as JSON, newest first).
Two sorted sets find runs by state: `queued:<queue>` and `leased`. All times are the server's, in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.client import Pipeline
from redis.commands.core import Script
from redis.exceptions import NoScriptError

from shared import names
from shared.ledger.progress import STREAM_LENGTH

Before = Callable[[Pipeline], None]
"""Adds commands to a pipeline."""

MAX_DEATHS = 3
"""A run is given up once so many workers have died with it: it is the likely cause."""

KEPT_CHECKPOINTS = 2
"""Checkpoints of a run that are kept: the newest, and the one before in case the newest is damaged."""

_PRELUDE = f"""
local clock = redis.call('TIME')
local now = string.format('%d.%06d', clock[1], clock[2])
local function run_key(id) return '{names.run_key("")}' .. id end
local function queued_key(queue) return '{names.queued_key("")}' .. queue end
local function child_key(worker) return '{names.child_key("")}' .. worker end
local function progress_key(experiment) return '{names.progress_key("")}' .. experiment end
local LEASED = '{names.LEASED}'

-- Fields of a record by name; an absent one is the empty string.
local function read(key, ...)
  local values = redis.call('HMGET', key, ...)
  local record = {{}}
  for i, name in ipairs({{...}}) do record[name] = values[i] or '' end
  return record
end

local function later(seconds) return string.format('%.6f', tonumber(now) + seconds) end

-- Tell those who follow the experiment what a run is now.
local function announce(record, state)
  local key = progress_key(record.experiment_id)
  redis.call('XADD', key, 'MAXLEN', '~', {STREAM_LENGTH}, '*', 'run', record.run_id, 'state', state)
  redis.call('EXPIRE', key, record.retention_s)
end

-- The child no longer holds the run (unless it holds another one by now).
local function free_child(record)
  if record.worker == '' then return end
  local key = child_key(record.worker)
  if redis.call('HGET', key, 'run_id') == record.run_id then redis.call('HDEL', key, 'run_id', 'fence') end
end

-- The keys of one checkpoint's chunks.
local function chunks_of(record, one)
  local keys = {{}}
  for chunk = 0, one.chunks - 1 do
    keys[chunk + 1] = string.format('{names.CHECKPOINT_CHUNK}', record.run_id, one.fence, one.sha256, chunk)
  end
  return keys
end

local function checkpoints_of(record)
  return record.checkpoints == '' and {{}} or cjson.decode(record.checkpoints)
end

local function delete_chunks(record, one)
  local keys = chunks_of(record, one)
  if #keys > 0 then redis.call('UNLINK', unpack(keys)) end
end

-- Make a state final. The retention counts from here.
local function settle(key, record, state, failure)
  redis.call('HSET', key, 'state', state, 'finished_s', now, 'failure', failure)
  redis.call('ZREM', queued_key(record.queue), record.run_id)
  redis.call('ZREM', LEASED, record.run_id)
  redis.call('EXPIRE', key, record.retention_s)
  redis.call('EXPIRE', '{names.experiment_key("")}' .. record.experiment_id, record.retention_s)
  for _, one in ipairs(checkpoints_of(record)) do delete_chunks(record, one) end
  redis.call('HDEL', key, 'checkpoints')
  free_child(record)
  announce(record, state)
end

local CANCELLED = cjson.encode({{reason = 'cancelled', message = 'cancelled'}})

-- End a lease without a result: the run is cancelled if that was asked for, given up after too many deaths,
-- and else queued again. Returns the new state. The child's hash keeps the run and its fence, so that a
-- worker that was only unreachable for a while can take the run back (see LOOK_AFTER).
local function let_go(key, record, died)
  local deaths = tonumber(record.deaths)
  if died then deaths = redis.call('HINCRBY', key, 'deaths', 1) end
  if record.cancel_requested == '1' then
    settle(key, record, 'cancelled', CANCELLED)
    return 'cancelled'
  end
  if deaths >= {MAX_DEATHS} then
    settle(key, record, 'failed', cjson.encode({{
      reason = 'worker_lost',
      message = string.format(
        'given up: %d workers died while training it, the last one %s', deaths, record.worker)
    }}))
    return 'failed'
  end
  redis.call('ZREM', LEASED, record.run_id)
  redis.call('ZADD', queued_key(record.queue), now, record.run_id)
  redis.call('HSET', key, 'state', 'queued', 'worker', '')
  announce(record, 'queued')
  return 'queued'
end
"""

_RECORD = (
    "'run_id', 'experiment_id', 'queue', 'state', 'fence', 'worker', 'pid', 'deaths', "
    "'lease_until', 'cancel_requested', 'retention_s', 'timed', 'checkpoints'"
)

ADD = (
    _PRELUDE
    + f"""
-- Write an experiment and its queued runs, or find the experiment that the idempotency key stands for. An
-- experiment that belongs to another, such as its float64 twin, is not listed, but found through the other;
-- where the other was cancelled or deleted, nothing is written and the empty string returned.
-- KEYS: experiment, submission.  ARGV: id, document, run ids, retention, whether there is a key (0 or 1), the
-- relation to the other experiment and its id (or '' twice), then for each run: id, framework, queue,
-- document ('' where it is stored already), whether it is timed (0 or 1).
local id, document, run_ids, retention, keyed, relation, parent = unpack(ARGV, 1, 7)
local parent_key = '{names.experiment_key("")}' .. parent
local gone = parent ~= '' and redis.call('EXISTS', parent_key) == 0
if gone or redis.call('HEXISTS', parent_key, 'cancelled') == 1 then return '' end
if keyed == '1' then
  local known = redis.call('GET', KEYS[2])
  if known and redis.call('EXISTS', '{names.experiment_key("")}' .. known) == 1 then return known end
  redis.call('SET', KEYS[2], id, 'EX', retention)
end
redis.call('HSET', KEYS[1], 'experiment', document, 'run_ids', run_ids, 'submitted_s', now)
redis.call('EXPIRE', KEYS[1], retention)
if parent == '' then
  redis.call('ZADD', '{names.EXPERIMENTS}', now, id)
else
  redis.call('HSET', parent_key, '{names.RELATED}' .. relation, id)
end
redis.call('SET', '{names.ACTIVITY}', now)
for i = 8, #ARGV, 5 do
  local run_id, framework, queue, run, timed = unpack(ARGV, i, i + 4)
  local key = run_key(run_id)
  redis.call('HSET', key, 'run_id', run_id, 'experiment_id', id, 'framework', framework, 'queue', queue,
    'state', 'queued', 'attempt', 0, 'fence', 0, 'deaths', 0, 'submitted_s', now,
    'cancel_requested', 0, 'retention_s', retention, 'timed', timed)
  if run ~= '' then redis.call('HSET', key, 'run', run) end
  redis.call('EXPIRE', key, retention)
  redis.call('ZADD', queued_key(queue), now, run_id)
end
return id
"""
)

CLAIM = (
    _PRELUDE
    + f"""
-- Take a queued run, or a leased one whose holder is known to be dead. A claim repeated by the child that
-- holds the run gives the same answer, so that a reply lost on the way does no harm. While one worker has a
-- host to itself, no other worker of the host may claim anything; a timed run can only be claimed by such a
-- worker.
-- KEYS: run, host.  ARGV: worker, pid of its child, lease in seconds.
local worker, pid, lease_s = unpack(ARGV)
local record = read(KEYS[1], {_RECORD})
if record.state == '' then return {{'unknown'}} end
local alone = redis.call('GET', KEYS[2])
if alone and alone ~= worker then return {{'host_taken'}} end
if record.timed == '1' and not alone and record.state == 'queued' then return {{'host_needed'}} end
local mine = record.worker == worker
if record.state == 'leased' and not (mine and record.pid == pid) then
  local expired = tonumber(record.lease_until) < tonumber(now)
  if not (mine or expired) then return {{'leased'}} end
  record.state = let_go(KEYS[1], record, true)
end
if record.state == 'queued' then
  redis.call('HINCRBY', KEYS[1], 'fence', 1)
  redis.call('HINCRBY', KEYS[1], 'attempt', 1)
  redis.call('HSET', KEYS[1], 'state', 'leased', 'worker', worker, 'pid', pid, 'claimed_s', now,
    'lease_until', later(lease_s))
  redis.call('ZREM', queued_key(record.queue), record.run_id)
  redis.call('ZADD', LEASED, later(lease_s), record.run_id)
  announce(record, 'leased')
elseif record.state ~= 'leased' then
  return {{record.state}}
end
local claim = read(KEYS[1], 'fence', 'attempt', 'submitted_s', 'claimed_s', 'run', 'framework', 'checkpoints')
redis.call('HSET', child_key(worker), 'run_id', record.run_id, 'fence', claim.fence)
return {{'claimed', claim.fence, claim.attempt, claim.submitted_s, claim.claimed_s, claim.run,
  record.experiment_id, claim.framework, claim.checkpoints}}
"""
)

KEEP_CHECKPOINT = (
    _PRELUDE
    + f"""
-- Note a stored checkpoint in the run's record, if the fence is still the run's and all chunks are there, and
-- drop the oldest one. The run has made progress, so earlier deaths are counted no more.
-- KEYS: run.  ARGV: fence, the checkpoint as JSON.
local fence, document = unpack(ARGV)
local record = read(KEYS[1], {_RECORD})
if record.fence ~= fence or (record.state ~= 'leased' and record.state ~= 'queued') then return 0 end
local new = cjson.decode(document)
for _, key in ipairs(chunks_of(record, new)) do
  if redis.call('EXPIRE', key, record.retention_s) == 0 then return 0 end
end
local kept = {{new}}
for _, old in ipairs(checkpoints_of(record)) do
  if old.sha256 == new.sha256 and old.fence == new.fence then return 1 end
  if #kept < {KEPT_CHECKPOINTS} then
    kept[#kept + 1] = old
  else
    delete_chunks(record, old)
  end
end
redis.call('HSET', KEYS[1], 'checkpoints', cjson.encode(kept), 'deaths', 0)
return 1
"""
)

FINISH = (
    _PRELUDE
    + f"""
-- Make a run final and hand its result to Celery's result backend, in one step, if the fence is still the
-- run's. A run that was put back into the queue, and that nobody has claimed since, may still be finished.
-- KEYS: run, result.  ARGV: fence, state, failure, result as the backend stores it, then the progress events
-- that were not sent yet.
local fence, state, failure, payload = unpack(ARGV, 1, 4)
local record = read(KEYS[1], {_RECORD})
if record.fence ~= fence then return 0 end
if record.state ~= 'leased' and record.state ~= 'queued' then return record.state == state and 1 or 0 end
local stream = progress_key(record.experiment_id)
for i = 5, #ARGV do
  redis.call('XADD', stream, 'MAXLEN', '~', {STREAM_LENGTH}, '*', 'event', ARGV[i])
end
redis.call('SET', KEYS[2], payload, 'EX', record.retention_s)
redis.call('PUBLISH', KEYS[2], payload)
settle(KEYS[1], record, state, failure)
return 1
"""
)

CANCEL = (
    _PRELUDE
    + f"""
-- Cancel a queued run at once; ask the worker of a leased one to stop.
-- KEYS: run.
local record = read(KEYS[1], {_RECORD})
if record.state == 'queued' then
  redis.call('HSET', KEYS[1], 'cancel_requested', 1)
  settle(KEYS[1], record, 'cancelled', CANCELLED)
  return 'cancelled'
end
if record.state == 'leased' then redis.call('HSET', KEYS[1], 'cancel_requested', 1) end
return record.state
"""
)

REFUSE_MORE = """
-- Note that an experiment was cancelled, if it is still there: nothing more may be added that belongs to it.
-- KEYS: experiment.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HSET', KEYS[1], 'cancelled', 1)
"""

LET_GO = (
    _PRELUDE
    + f"""
-- End a lease from outside the training. Why: `died` (its child is dead), `expired` (its worker has not been
-- heard of), `returned` (handed back by a worker that stops, which is not a death).
-- Returns the state, the queue, and whether anything was changed (0 or 1).
-- KEYS: run.  ARGV: run id, why, fence (ignored for `expired`).
local run_id, why, fence = unpack(ARGV)
local record = read(KEYS[1], {_RECORD})
if record.state ~= 'leased' then
  redis.call('ZREM', LEASED, run_id)
  return {{record.state, record.queue, 0}}
end
if why == 'expired' then
  if tonumber(record.lease_until) >= tonumber(now) then return {{'leased', record.queue, 0}} end
elseif record.fence ~= fence then
  return {{'leased', record.queue, 0}}
end
return {{let_go(KEYS[1], record, why ~= 'returned'), record.queue, 1}}
"""
)

LOOK_AFTER = (
    _PRELUDE
    + f"""
-- A worker's beat: renew the lease of the run that its child holds, and return how the child is. A run that
-- was put back into the queue while this worker was unreachable, and that nobody has claimed since, is taken
-- back.
-- KEYS: child.  ARGV: worker, lease in seconds.
local worker, lease_s = unpack(ARGV)
local child = read(KEYS[1], 'pid', 'ready', 'failed', 'versions', 'run_id', 'fence')
local cancel = '0'
if child.run_id ~= '' then
  local key = run_key(child.run_id)
  local record = read(key, {_RECORD})
  local open = record.state == 'queued' or (record.state == 'leased' and record.worker == worker)
  if open and record.fence == child.fence then
    redis.call('HSET', key, 'state', 'leased', 'worker', worker, 'lease_until', later(lease_s))
    redis.call('ZREM', queued_key(record.queue), child.run_id)
    redis.call('ZADD', LEASED, later(lease_s), child.run_id)
    redis.call('SET', '{names.ACTIVITY}', now)
    cancel = record.cancel_requested
  else
    redis.call('HDEL', KEYS[1], 'run_id', 'fence')
    child.run_id = ''
  end
end
if child.pid ~= '' then redis.call('EXPIRE', KEYS[1], 600) end
return {{child.pid, child.ready, child.failed, child.versions, child.run_id, child.fence, cancel, now}}
"""
)

WAKE = (
    _PRELUDE
    + """
-- Note that a message is about to be sent for a queued run; 0 if somebody else has done so meanwhile.
-- KEYS: queued set.  ARGV: run id, the time it had when it was looked at.
local run_id, seen = unpack(ARGV)
local since = redis.call('ZSCORE', KEYS[1], run_id)
if not since or tonumber(since) ~= tonumber(seen) then return 0 end
if redis.call('HGET', run_key(run_id), 'state') ~= 'queued' then
  redis.call('ZREM', KEYS[1], run_id)
  return 0
end
redis.call('ZADD', KEYS[1], now, run_id)
return 1
"""
)

KEEP_VERDICT = """
-- Note the verdict of a finished experiment, if the experiment is still there.
-- KEYS: experiment.  ARGV: verdict.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HSET', KEYS[1], 'verdict', ARGV[1])
"""


def run_script(
    client: redis.Redis, script: Script, *, keys: Sequence[str], args: Sequence[Any], before: Before | None
) -> Any:
    """What the script answers. With what `before` adds, all is written or nothing is. Raises RedisError."""
    if before is None:
        return script(keys=list(keys), args=list(args))
    with client.pipeline() as pipe:
        before(pipe)
        pipe.evalsha(script.sha, len(keys), *keys, *args)
        try:
            return pipe.execute()[-1]
        except NoScriptError:  # once after each start of Redis; what comes before it is written
            return script(keys=list(keys), args=list(args))
