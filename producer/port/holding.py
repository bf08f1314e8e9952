"""Has the machines of two programs to itself while they are timed, as a timed run of a job has its host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from likewise.producer.display import both
from likewise.producer.port.hosted import Hosted
from likewise.producer.runs.submit import new_id
from likewise.shared.errors import LikewiseError
from likewise.shared.ledger.host_lease import HostLease

if TYPE_CHECKING:
    from likewise.producer.session import Session


@contextmanager
def held(
    hosts: Sequence[Hosted],
    places: Mapping[str, str],
    *,
    own: str | None,
    opens: Callable[[], Session],
    tell: Callable[[str], None],
) -> Iterator[Sequence[str]]:
    """Wait until no worker trains on the machines of two programs, and let none claim a run meanwhile.

    `places` are the machines by side, as the programs say them; a worker that hosts one has its own name for
    it, and this one may have its `own`. What is given is to be known of it: where no Redis answers, nothing
    keeps the machines free.
    """
    with ExitStack() as stack:
        notes: list[str] = []
        try:
            session = stack.enter_context(opens())
            workers = {one.worker_id: one.host for one in session.ledger.workers()}
            names = {
                workers[host.where] if host.where in workers else own or places[host.label] for host in hosts
            }
            busy = [host.where for host in hosts if host.where in workers]
            for name in sorted(names):  # in one order, so that two benches never wait for each other
                lease = HostLease(session.client, host=name, holder=f"bench-{new_id()}", besides=busy)
                if lease.waits():
                    tell(f"waiting for {name}: something else trains or is timed there")
                stack.enter_context(lease)
            if len(names) > 1:
                notes = [f"the programs run on other machines: {both(sorted(names))}"]
        except LikewiseError as error:
            notes = [f"nothing kept the machine free for them: {error}"]
        yield notes
