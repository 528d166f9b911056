"""Checkpoints on the disk: whole, listed, and found again after any kind of death."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gan_zoo.core.errors import ConfigError
from gan_zoo.runs.checkpoint_store import MANIFEST, CheckpointStore


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints", keep=2)


def write(store: CheckpointStore, step: int, best: bool = False) -> Path:
    path = store.path(step)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights of step %d" % step)
    store.record(step, 8 * step, best)
    return path


def content(store: CheckpointStore, name: str) -> bytes:
    return (store.folder / f"{name}.ckpt").read_bytes()


def files(store: CheckpointStore) -> set[str]:
    return {path.name for path in store.folder.iterdir()}


def test_the_newest_and_the_best_are_kept_and_linked(store: CheckpointStore) -> None:
    for step in (10, 20, 30, 40):
        write(store, step, best=step == 20)
    named = {
        "step-000000020.ckpt",
        "step-000000030.ckpt",
        "step-000000040.ckpt",
        "last.ckpt",
        "best.ckpt",
        MANIFEST,
    }
    assert files(store) == named
    assert (content(store, "last"), content(store, "best")) == (
        b"weights of step 40",
        b"weights of step 20",
    )
    assert [entry.step for entry in store.entries()] == [20, 30, 40]
    assert [entry.images_seen for entry in store.entries()] == [160, 240, 320]
    store.mark_best(40)
    assert content(store, "best") == b"weights of step 40"
    assert [entry.step for entry in store.entries()] == [30, 40]
    assert store.latest_valid() == store.path(40)


@pytest.mark.parametrize("harm", ["a bit", "the end", "everything"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(
    store: CheckpointStore, harm: str
) -> None:
    write(store, 10)
    newest = write(store, 20)
    whole = newest.read_bytes()
    newest.write_bytes(
        {"a bit": bytes([whole[0] ^ 1]) + whole[1:], "the end": whole[:-1], "everything": b""}[harm]
    )
    with pytest.warns(
        UserWarning, match=r"step-000000020.ckpt is damaged .*: going back to the one before it"
    ):
        assert store.latest_valid() == store.path(10)
    for name in (newest, store.folder / "last.ckpt"):
        with pytest.raises(ConfigError, match="it is not what the run wrote"):
            store.verify(name)
    store.verify(store.path(10))
    store.truncate_after(10)
    assert files(store) == {"step-000000010.ckpt", "last.ckpt", MANIFEST}
    assert content(store, "last") == b"weights of step 10"


@pytest.mark.filterwarnings("ignore:.*going back")
def test_candidates_but_none_good_is_an_error_and_none_is_a_fresh_start(
    store: CheckpointStore,
) -> None:
    assert store.latest_valid() is None
    write(store, 10).unlink()
    with pytest.raises(ConfigError, match=r"none of the checkpoints in .* is whole"):
        store.latest_valid()
    (store.folder / MANIFEST).unlink()
    with pytest.raises(ConfigError, match=r"none of the checkpoints in .* is whole"):
        store.latest_valid()


def test_what_is_not_listed_is_as_if_it_was_never_written(store: CheckpointStore) -> None:
    write(store, 10)
    store.path(20).write_bytes(b"whole, but the process died before listing it")
    (store.folder / ".step-000000030.ckpt.a1b2.ckpt").write_bytes(b"half")
    assert store.latest_valid() == store.path(10)
    store.truncate_after(10)
    assert files(store) == {"step-000000010.ckpt", "last.ckpt", MANIFEST}


def test_death_in_the_first_save_is_a_fresh_start(store: CheckpointStore) -> None:
    store.truncate_after(0)
    store.path(10).write_bytes(b"whole, but the process died before listing it")
    assert store.latest_valid() is None
    store.truncate_after(0)
    assert files(store) == {MANIFEST}


def test_links_that_a_dying_process_left_behind_are_made_again(store: CheckpointStore) -> None:
    write(store, 10)
    write(store, 20, best=True)
    (store.folder / "best.ckpt").unlink()
    (store.folder / "last.ckpt").unlink()
    (store.folder / "last.ckpt").hardlink_to(store.path(10))
    store.verify(store.folder / "last.ckpt")
    store.truncate_after(20)
    assert (content(store, "last"), content(store, "best")) == (
        b"weights of step 20",
        b"weights of step 20",
    )


def test_going_on_from_an_older_one_forgets_the_newer(store: CheckpointStore) -> None:
    write(store, 10)
    write(store, 20, best=True)
    store.truncate_after(10)
    assert (store.best, [entry.step for entry in store.entries()]) == (None, [10])
    assert files(store) == {"step-000000010.ckpt", "last.ckpt", MANIFEST}


def test_a_file_system_without_links_gets_copies(store: CheckpointStore, monkeypatch) -> None:
    monkeypatch.setattr("os.link", lambda *names: (_ for _ in ()).throw(OSError("no links here")))
    write(store, 10, best=True)
    write(store, 20)
    assert (content(store, "last"), content(store, "best")) == (
        b"weights of step 20",
        b"weights of step 10",
    )


def test_a_damaged_manifest_is_said_so(store: CheckpointStore) -> None:
    write(store, 10)
    (store.folder / MANIFEST).write_text(json.dumps({"best": None, "checkpoints": [{"file": "x"}]}))
    with pytest.raises(
        ConfigError, match=r"manifest.json is damaged: name a checkpoint yourself, resume="
    ):
        store.latest_valid()


def test_files_of_the_user_are_left_alone(store: CheckpointStore) -> None:
    write(store, 10)
    mine = store.folder / "keep-me.ckpt"
    mine.write_bytes(b"mine")
    for step in (20, 30, 40):
        write(store, step)
    store.truncate_after(30)
    assert mine.read_bytes() == b"mine"
    assert files(store) == {"keep-me.ckpt", "step-000000030.ckpt", "last.ckpt", MANIFEST}


def test_a_folder_without_a_list_is_not_cleared(store: CheckpointStore) -> None:
    for name in ("step-000000005.ckpt", "last.ckpt"):
        store.folder.mkdir(exist_ok=True)
        (store.folder / name).write_bytes(b"an older run's")
    (store.folder / "step-000000009.ckpt").write_bytes(b"an older run's")
    with pytest.raises(ConfigError, match=r"none of the checkpoints in .* is whole"):
        store.latest_valid()
    store.truncate_after(5)
    assert files(store) == {"step-000000005.ckpt", "step-000000009.ckpt", "last.ckpt", MANIFEST}
    assert store.latest_valid() == store.path(5)


def test_a_damaged_manifest_is_made_anew_around_the_checkpoint_that_is_named(
    store: CheckpointStore,
) -> None:
    write(store, 10)
    write(store, 20)
    (store.folder / MANIFEST).write_text("{")
    store.verify(store.path(10))
    store.truncate_after(10)
    assert [entry.step for entry in store.entries()] == [10]
    assert store.latest_valid() == store.path(10)


def test_keep_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"callbacks.checkpoints.keep must be >= 1, got 0"):
        CheckpointStore(tmp_path, keep=0)
