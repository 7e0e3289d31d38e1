"""Dask's settings for `LocalCluster` in tests and benchmarks."""

from __future__ import annotations


def workers_come_back() -> dict[str, str]:
    """Where workers are killed: what starts them again must not be taken away.

    By itself a `LocalCluster` closes the nanny of a worker that is not there 15 s after it was lost, be it that it
    starts slowly or that it was lost once more: then nobody starts it again.
    """
    return {"distributed.deploy.lost-worker-timeout": "1 hour"}


def nothing_else_to_do() -> dict[str, object]:
    """What docs/scale.md recommends for workers that only make clips: Dask's own clocks rest with them."""
    return {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "500ms"}
