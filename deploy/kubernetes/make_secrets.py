"""Print the Secrets of deploy/kubernetes, with a new password for each of Redis's users.

    python deploy/kubernetes/make_secrets.py | kubectl apply -f -

Run again it draws others; then start Redis, the workers and the metrics again:

    kubectl --namespace likewise rollout restart statefulset,deployment

It needs the checkout and no package. Nothing is written to a file.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from likewise.shared.users import USERS, memory_lines, user_lines

NAMESPACE = "likewise"
VERSION = (7, 0)
"""The version of the Redis in base/redis.yaml."""


def secret(name: str, **entries: str) -> dict[str, object]:
    """Return a Secret as a document."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/part-of": "likewise"},
        },
        "type": "Opaque",
        "stringData": entries,
    }


def main() -> None:
    """Print them as one list."""
    passwords = {user: secrets.token_hex(32) for user in USERS}
    config = memory_lines(VERSION) + user_lines(passwords, version=VERSION)
    lines = "".join(f"{line}\n" for line in config)
    redis = secret("likewise-redis", **{"redis.conf": lines, "health": passwords["monitor"]})
    others = [secret(f"likewise-{user}", password=passwords[user]) for user in USERS]
    json.dump({"apiVersion": "v1", "kind": "List", "items": [redis, *others]}, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
