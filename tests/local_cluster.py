"""Dask's `LocalCluster` where workers are killed: what starts them again must not be taken away."""

from __future__ import annotations


def workers_come_back() -> dict[str, str]:
    """Dask's settings.

    By itself a `LocalCluster` closes the nanny of a worker that is not there 15 s after it was lost, be it that it
    starts slowly or that it was lost once more: then nobody starts it again.
    """
    return {"distributed.deploy.lost-worker-timeout": "1 hour"}
