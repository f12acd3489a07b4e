"""A pool does every item once; what may succeed later is pending, and what concerns the whole job ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from framemill.platform.errors import FramemillError, PendingError, RequestError
from framemill.platform.pools import ItemResult, PoolWorker, finish_all, map_actors, map_tasks, run_item
from framemill.platform.retry import RetryLater


class Upper(PoolWorker):
    """Returns items in capitals; some do otherwise."""

    def __init__(self, folder: str = "", limit: int = 0) -> None:
        if limit < 0:
            raise RequestError(f"limit={limit}: must be 0 or more")
        self.folder = folder

    @staticmethod
    def name(item: str) -> str:
        return f"item {item}"

    def do(self, item: str) -> str:
        return upper(item, self.folder)


def upper(item: str, folder: str = "") -> str:
    """Returns the item in capitals, or fails in the way that it names."""
    if item == "later":
        raise RetryLater("no answer")
    if item == "unexpected":
        raise KeyError("what")
    if item == "wrong":
        raise RequestError("weights=x: no such file")
    if item == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "dies once" and not os.path.exists(marker := os.path.join(folder, "died")):
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item.upper()


def dies(item: str) -> str:
    """Kills its worker process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return item


@pytest.mark.parametrize("workers", [1, 2, 50])
def test_actors_do_every_item_once(ray_session: None, workers: int) -> None:
    """50 actors of half a core each: more than there is room for, so that only some ever start."""
    items = [f"i{number}" for number in range(12)]
    results = list(map_actors(Upper, {}, items, workers))
    assert sorted((result.name, result.value) for result in results) == [
        (f"item {i}", i.upper()) for i in sorted(items)
    ]
    assert list(map_actors(Upper, {}, [], workers)) == []


@pytest.mark.parametrize("item", ["later", "unexpected"])
@pytest.mark.parametrize("kind", ["actors", "tasks"])
def test_a_failure_that_may_pass_leaves_its_item_pending(ray_session: None, kind: str, item: str) -> None:
    items = ["a", item, "b"]
    results = map_actors(Upper, {}, items, 2) if kind == "actors" else map_tasks(upper, items, 2, name=Upper.name)
    with pytest.raises(PendingError, match=rf"^job: item {item}: (no answer|KeyError: 'what'); the same command"):
        finish_all(results, label="job: trying", total=3, unit="items")


@pytest.mark.parametrize("kind", ["actors", "tasks"])
def test_a_failure_of_the_whole_job_ends_it_as_it_is(ray_session: None, kind: str) -> None:
    items = ["a", "wrong", "b"]
    results = map_actors(Upper, {}, items, 1) if kind == "actors" else map_tasks(upper, items, 1)
    with pytest.raises(RequestError, match=r"^weights=x: no such file$"):
        list(results)


def test_a_worker_that_cannot_be_made_ends_the_job(ray_session: None) -> None:
    with pytest.raises(RequestError, match="limit=-1"):
        list(map_actors(Upper, {"limit": -1}, ["a"], 1))


def test_a_lost_worker_is_replaced_and_its_item_done_by_another(ray_session: None, tmp_path: Path) -> None:
    results = list(map_actors(Upper, {"folder": str(tmp_path)}, ["dies once", "a", "b"], 1))
    assert {(result.value, result.pending) for result in results} == {("DIES ONCE", ""), ("A", ""), ("B", "")}


@pytest.mark.parametrize("kind", ["actors", "tasks"])
def test_an_item_that_loses_every_worker_is_pending(ray_session: None, kind: str) -> None:
    run: dict[str, Callable[[], list[ItemResult[str]]]] = {
        "actors": lambda: list(map_actors(Upper, {}, ["dies", "a"], 1)),
        "tasks": lambda: list(map_tasks(dies, ["dies"], 1, name=Upper.name)),
    }
    lost = next(result for result in run[kind]() if result.value is None)
    assert lost.name == "item dies" and lost.pending.startswith("its worker process was lost: ")


def test_a_pool_that_is_left_early_stops(ray_session: None) -> None:
    results = map_actors(Upper, {}, ["a", "b", "c"], 1)
    assert next(iter(results)).value == "A"
    results.close()  # type: ignore[attr-defined]


def test_run_item_tells_errors_apart() -> None:
    assert run_item(upper, "a", "A") == ItemResult("A", "A")
    assert run_item(upper, "later", "x").pending == "no answer"
    assert run_item(upper, "unexpected", "x").pending == "KeyError: 'what'"
    with pytest.raises(FramemillError):
        run_item(upper, "wrong", "x")
