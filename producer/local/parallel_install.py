"""Makes several virtual environments at once, from one thread as `processes.spawn` needs it.

Each installation's output is read as it comes; what it says is shown on the way.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Sequence

from producer.local.installation import Installation
from producer.local.progress import shown

TICK_S = 0.1


def install(
    installations: Sequence[Installation],
    *,
    on_finished: Callable[[Installation], None],
    say: Callable[[str], None],
) -> None:
    """Run all installations at once to their ends, showing where each stands.

    Raises StackError on the first that fails; then, and on an interrupt, every one that is not finished is
    stopped and removed.
    """
    running = list(installations)
    try:
        with selectors.DefaultSelector() as selector, shown(installations, say=say) as show:
            for installation in installations:
                installation.start()
                show(installation)
                _watch(selector, installation)
            last_look = 0.0
            while running:
                for key, _ in selector.select(TICK_S):
                    installation = key.data
                    if installation.read():
                        continue
                    selector.unregister(key.fileobj)
                    if installation.advance():
                        _watch(selector, installation)
                        show(installation)
                    else:
                        on_finished(installation)
                        running.remove(installation)
                        show(installation)
                if time.monotonic() - last_look >= TICK_S:
                    for installation in running:
                        installation.look()
                        show(installation)
                    last_look = time.monotonic()
    except BaseException:
        for installation in running:
            installation.stop()
        raise


def _watch(selector: selectors.BaseSelector, installation: Installation) -> None:
    assert installation.process is not None and installation.process.stdout is not None  # noqa: S101, PT018
    selector.register(installation.process.stdout, selectors.EVENT_READ, installation)
