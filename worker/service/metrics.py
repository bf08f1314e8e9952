"""What a worker tells Prometheus of itself, where `LIKEWISE_METRICS_LISTEN` says where.

The parent serves it from a thread of prometheus-client's, with numbers that its keeper sets at each beat, so
that an answer never waits for Redis, nor for a training. Queues are told by `likewise metrics`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, get_args

from likewise.shared.errors import ServiceError, UsageError
from likewise.shared.ledger.leases import WhyLetGo
from likewise.shared.ledger.records import WorkerPresence, WorkerState

if TYPE_CHECKING:
    from likewise.worker.service.child_page import ChildReport


class WorkerMetrics:
    """The numbers of one worker, and the server that gives them away."""

    def __init__(self, listen: str) -> None:
        """Serve at an address and port such as 127.0.0.1:9464.

        Raises ServiceError where prometheus-client is missing or the port is taken, UsageError for what is
        no address.
        """
        try:
            from prometheus_client import (
                GC_COLLECTOR,
                PROCESS_COLLECTOR,
                CollectorRegistry,
                Counter,
                Gauge,
                start_http_server,
            )
        except ImportError:
            raise ServiceError(
                "LIKEWISE_METRICS_LISTEN is set, and the package prometheus-client is not installed here"
            ) from None
        address, _, port = listen.rpartition(":")
        registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, GC_COLLECTOR):
            registry.register(collector)
        self._state: Any = Gauge(
            "likewise_worker_own_state",
            "1 for the state that it is in.",
            ["state"],
            registry=registry,
        )
        self._trouble: Any = Gauge(
            "likewise_worker_own_trouble", "Whether it takes no runs though it should.", registry=registry
        )
        self._beat: Any = Gauge(
            "likewise_worker_beat_timestamp_seconds", "When Redis last had its word.", registry=registry
        )
        self._steps: Any = Gauge(
            "likewise_worker_progress_signs", "Signs of progress of its child's trainings.", registry=registry
        )
        self._run_s: Any = Gauge(
            "likewise_worker_run_seconds", "How long it has had its run; 0: it has none.", registry=registry
        )
        self._let_go: Any = Counter(
            "likewise_worker_runs_let_go",
            "Runs that ended without a result.",
            ["why"],
            registry=registry,
        )
        self._lost: Any = Counter(
            "likewise_worker_leases_lost",
            "Runs taken from it while they trained.",
            registry=registry,
        )
        for why in get_args(WhyLetGo):
            self._let_go.labels(why)
        self._run: tuple[str | None, float] = (None, 0.0)
        self._last_lost: tuple[str | None, int] = (None, 0)
        try:
            start_http_server(int(port), addr=address or "0.0.0.0", registry=registry)  # noqa: S104 - it is asked for
        except (OSError, OverflowError) as error:
            said = getattr(error, "strerror", None) or error
            raise ServiceError(
                f"LIKEWISE_METRICS_LISTEN is {listen!r}, which cannot be served: {said}"
            ) from None
        except ValueError:
            raise UsageError(
                f"LIKEWISE_METRICS_LISTEN is {listen!r}; it takes an address and a port, such as "
                "127.0.0.1:9464"
            ) from None

    def beat(self, presence: WorkerPresence, child: ChildReport) -> None:
        """Take over what a beat has told Redis."""
        for state in get_args(WorkerState):
            self._state.labels(state).set(state == presence.state)
        self._trouble.set(presence.trouble is not None)
        self._beat.set_to_current_time()
        self._steps.set(child.steps)
        run_id, since = self._run
        if presence.run_id != run_id:
            since = time.monotonic()
            self._run = (presence.run_id, since)
        self._run_s.set(0.0 if presence.run_id is None else time.monotonic() - since)
        training = child.activity == "training" and child.fence > 0
        if training and presence.run_id is None and self._last_lost != (child.run_id, child.fence):
            self._last_lost = (child.run_id, child.fence)
            self._lost.inc()

    def let_go(self, why: WhyLetGo) -> None:
        """Count a run that was given back, or that failed, without a result."""
        self._let_go.labels(why).inc()
