"""Every process that was started here keeps to cores of its own."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest
import torch
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy

from gan_zoo.training import cpu_affinity as cores
from gan_zoo.training.cpu_affinity import allowed_cores, keep_to, share
from gan_zoo.training.strategy import FlatDDPStrategy

needs_linux = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system binds no thread to cores"
)


@pytest.mark.parametrize(
    ("cores", "parts"), [(range(8), 2), (range(7), 3), (range(2), 2), (range(5), 1)]
)
def test_shares_are_all_cores_and_none_twice(cores, parts):
    shares = [list(share(list(cores), part, parts)) for part in range(parts)]
    assert list(chain(*shares)) == list(cores)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_more_processes_than_cores_share_them():
    assert share([3, 5], 2, 3) == [3, 5]


@needs_linux
def test_threads_of_one_core_are_neighbors(tmp_path, monkeypatch):
    """Two threads a core, numbered as x86 does: 0 and 2 are the same core."""
    for number in range(4):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text("0\n")
        (folder / "core_id").write_text(f"{number % 2}\n")
    monkeypatch.setattr(cores, "TOPOLOGY", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    assert allowed_cores() == [0, 2, 1, 3]


@needs_linux
def test_unknown_places_leave_cores_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "TOPOLOGY", tmp_path)
    assert allowed_cores() == sorted(os.sched_getaffinity(0))


@needs_linux
def test_threads_that_run_already_are_kept_too():
    before = os.sched_getaffinity(0)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(os.sched_getaffinity, 0).result() == before
        try:
            keep_to([min(before)])
            assert pool.submit(os.sched_getaffinity, 0).result() == {min(before)}
        finally:
            keep_to(sorted(before))
        assert pool.submit(os.sched_getaffinity, 0).result() == before


@needs_linux
def test_training_goes_on_where_the_system_forbids_it(monkeypatch):
    def forbidden(thread, cores):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    before = os.sched_getaffinity(0)
    keep_to([min(before)])
    assert os.sched_getaffinity(0) == before


@needs_linux
@pytest.mark.skipif(os.cpu_count() == 1, reason="needs two cores")
@pytest.mark.parametrize("ours", [True, False], ids=["started_here", "started_by_torchrun"])
def test_a_process_has_cores_of_its_own_while_it_trains(ours, monkeypatch):
    monkeypatch.setattr(DDPStrategy, "setup_environment", lambda self: None)
    monkeypatch.setattr(DDPStrategy, "teardown", lambda self: None)
    monkeypatch.setenv("LOCAL_RANK", "1")
    environment = LightningEnvironment() if ours else TorchElasticEnvironment()
    strategy = FlatDDPStrategy(
        cluster_environment=environment, parallel_devices=[torch.device("cpu")] * 2
    )
    before = allowed_cores()
    try:
        strategy.setup_environment()
        assert allowed_cores() == (before[len(before) // 2 :] if ours else before)
    finally:
        strategy.teardown()
    assert allowed_cores() == before
