"""Run in a producer's container: a bench and a sweep at once, and who trained beside whom meanwhile.

Prints one JSON document: `bench`, the bench's own; `timed`, how often a timed run was seen in training;
`waited`, how often ordinary runs were queued then; `beside`, how often another run was in training then.
Every look is one atomic step in Redis.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from typing import IO

from likewise.shared.connection import connect, redis_url
from likewise.shared.names import LEASED, lanes_of, queued_key, run_key, train_queue
from likewise.shared.settings import Settings

LOOK = f"""
local timed, other = 0, 0
for _, run in ipairs(redis.call('ZRANGE', '{LEASED}', 0, -1)) do
  if redis.call('HGET', '{run_key("")}' .. run, 'timed') == '1' then timed = timed + 1
  else other = other + 1 end
end
local queued = 0
for _, lane in ipairs(KEYS) do queued = queued + redis.call('ZCARD', lane) end
return {{timed, other, queued}}
"""
QUEUED = [queued_key(lane) for lane in lanes_of(train_queue("torch", "any"))]
BENCH = "bench matched --variant auto --variant compiled --budget 8 --precision 0.1 --no-twin --json"
SWEEP = "sweep matched --grid training.batch_size=1,2,3,4,5,6 --set execution=eager --set frameworks=[torch]"
LOOK_S = 0.002


def likewise(words: str, said: IO[str] | int) -> subprocess.Popen[str]:
    """The command, begun. It must not print into a pipe, which would stop it at 64 KiB that nobody reads."""
    return subprocess.Popen(["likewise", *words.split()], stdout=said, stderr=subprocess.DEVNULL, text=True)


def main() -> None:
    """Look until both have ended; the sweep begins with the first timed run."""
    url = redis_url(Settings.from_environment())
    assert url
    look = connect(url).register_script(LOOK)
    seen: Counter[str] = Counter()
    with tempfile.TemporaryFile("w+") as said:
        bench, sweep = likewise(BENCH, said), None
        while bench.poll() is None or sweep is None or sweep.poll() is None:
            timed, other, queued = look(keys=QUEUED)  # type: ignore[misc]
            if timed:
                sweep = sweep or likewise(SWEEP, subprocess.DEVNULL)
                seen["timed"] += 1
                seen["waited"] += queued > 0
                seen["beside"] += timed + other > 1
            elif bench.poll() is not None and sweep is None:
                break
            time.sleep(LOOK_S)
        said.seek(0)
        found = {**dict.fromkeys(("timed", "waited", "beside"), 0), **seen, "bench": json.load(said)}
    json.dump(found, sys.stdout)


main()
