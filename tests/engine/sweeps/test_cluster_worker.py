"""Tests of engine/sweeps/cluster_worker.py: what a worker refuses to begin with, and that threads of one worker take turns."""

import pytest
from distributed import Client, LocalCluster

from engine.record.errors import BadInput
from engine.sweeps import cluster_worker
from engine.sweeps.cluster import furnish
from engine.sweeps.cluster_worker import ClusterWorker


def test_a_worker_with_another_version_of_this_project_is_refused(monkeypatch):
    """Its numbers might be others."""
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster, Client(cluster) as client:
        asking = ClusterWorker("garden", 0, None, ())
        monkeypatch.setattr(cluster_worker, "version", lambda: "0.0.1")
        with pytest.raises(BadInput, match=r"A worker of the cluster cannot be used: .* has version 0\.0\.1 of this project"):
            furnish(client, asking)
