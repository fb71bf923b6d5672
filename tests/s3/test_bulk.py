"""Many objects at once: in parallel, in little memory, and each that fails is told with its key."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perkey.dicts.s3 import BasicS3Dict
from perkey.errors import AccessDeniedError, BackendError, BulkOperationError, CorruptValueError
from perkey.jokers import DELETE_CURRENT
from s3.places import EngineName, Place
from s3.proxy import Exchange, Fault, Proxy, Reply, drops_reply, says

Dict = BasicS3Dict[Any]

WORKERS = 48
COUNT = 72

pytestmark = pytest.mark.usefixtures("quick_pauses")


def numbered(count: int = COUNT) -> dict[str, int]:
    return {f"k{number}": number for number in range(count)}


FORMS: list[tuple[EngineName, str]] = [("boto3", "cached"), ("obstore", "part")]
MORE_FORMS: list[tuple[EngineName, str]] = [
    ("boto3", "uncached"),
    ("boto3", "part"),
    ("obstore", "cached"),
    ("obstore", "uncached"),
]


@pytest.fixture
def retry_for() -> float:
    """Seconds; long enough for a busy machine."""
    return 30.0


@pytest.fixture(
    params=[*FORMS, *(pytest.param(form, marks=pytest.mark.long) for form in MORE_FORMS)], ids="-".join
)
def d(request: pytest.FixtureRequest, proxy: Proxy, bucket: str, tmp_path: Path, retry_for: float) -> Dict:
    engine, form = request.param
    place = Place(proxy.endpoint, bucket, engine)
    if form == "cached":
        return place.open_cached(tmp_path / "cache", retry_for=retry_for)
    whole = place.open(retry_for=retry_for)
    return whole.get_subdict("part") if form == "part" else whole


class Traffic:
    """Lets requests through slowly, and counts how many are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = self.most = self.passed = 0

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.02)
        reply = exchange.forward()
        with self._lock:
            self.inside -= 1
            self.passed += 1
        exchange.answer(reply)


def only_for(keys: set[str], fault: Fault) -> Fault:
    """Spoil the requests for some keys."""

    def act(exchange: Exchange) -> None:
        leaf = exchange.request.key.rpartition("/")[2].removesuffix(".pkl")
        if leaf in keys:
            fault(exchange)
        else:
            exchange.answer(exchange.forward())

    return act


# --- All goes well ----------------------------------------------------------------------------------


def test_many_are_set_got_and_deleted(d: Dict) -> None:
    d.update(numbered())
    assert len(d) == COUNT
    assert d.get_many([*numbered(), "none"]) == {(k,): number for k, number in numbered().items()}
    assert d == numbered()
    d.set_many([("k0", DELETE_CURRENT), ("k1", "x"), ("k1", "y"), ("k2", "z"), ("k2", DELETE_CURRENT)])
    assert d.get_many(["k0", "k1", "k2"]) == {("k1",): "y"}
    d.delete_many([*numbered(60), "none", "k1"])
    assert sorted(d.values()) == list(range(60, COUNT))
    d.clear()
    assert len(d) == 0


def test_large_and_small_values_are_set_and_got_at_once(d: Dict) -> None:
    from s3.workers import noise

    values = {f"k{number}": noise(number, 3 << 20 if number % 4 == 0 else 100) for number in range(12)}
    d.update(values)
    assert d.get_many(values) == {(k,): value for k, value in values.items()}
    assert {tuple(k): value for k, value in d.items()} == {(k,): value for k, value in values.items()}


OPERATIONS: dict[str, tuple[str, Callable[[Dict], object]]] = {
    "get_many": ("get", lambda d: d.get_many(numbered())),
    "set_many": ("put", lambda d: d.set_many(numbered())),
    "update": ("put", lambda d: d.update(numbered())),
    "values": ("get", lambda d: sorted(d.values())),
    "items": ("get", lambda d: dict(d.items())),
    "copy": ("get", lambda d: d.copy()),
    "==": ("get", lambda d: d == numbered()),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_many_requests_are_under_way_at_a_time_but_not_too_many(name: str, d: Dict, proxy: Proxy) -> None:
    d.update(numbered())
    verb, act = OPERATIONS[name]
    traffic = Traffic()
    proxy.plan(traffic, verb, times=None)
    act(d)
    assert WORKERS // 8 < traffic.most <= WORKERS
    assert traffic.passed == COUNT


def test_sources_are_drawn_only_a_little_ahead_of_what_is_done(d: Dict, proxy: Proxy) -> None:
    traffic = Traffic()
    proxy.plan(traffic, "put", times=None)
    d["first"] = 0

    def source() -> Iterator[tuple[str, int]]:
        for number in range(150):
            assert number - traffic.passed <= 2 * WORKERS
            yield f"k{number}", number

    d.set_many(source())
    assert len(d) == 151


def test_values_are_read_only_a_little_ahead_of_whoever_goes_through_them(d: Dict, proxy: Proxy) -> None:
    d.update(numbered(150))
    traffic = Traffic()
    proxy.plan(traffic, "get", times=None)
    seen = 0
    for seen, _ in enumerate(d.values(), 1):
        assert traffic.passed - seen <= 2 * WORKERS
        if seen == 150:
            break
    while traffic.inside:
        time.sleep(0.1)
    assert traffic.passed <= 150 + 2 * WORKERS + 1


# --- Some fail --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "verb"), [("get_many", "get"), ("set_many", "put"), ("update", "put")])
def test_one_that_fails_is_told_with_its_key_and_the_rest_is_done(
    name: str, verb: str, d: Dict, proxy: Proxy
) -> None:
    d.update(dict.fromkeys(numbered(), "old"))
    proxy.plan(only_for({"k7"}, says(403, "AccessDenied")), verb, times=None)
    with pytest.raises(AccessDeniedError, match="k7") as caught:
        OPERATIONS[name][1](d)
    assert caught.value.__notes__ == [f"This was for the key ('k7',); done: {COUNT - 1:,} other items."]
    proxy.heal()
    if name != "get_many":
        assert d == {**numbered(), "k7": "old"}


@pytest.mark.parametrize("retry_for", [0.5])
@pytest.mark.parametrize(("name", "verb"), [("get_many", "get"), ("set_many", "put")])
def test_several_that_fail_are_all_told(name: str, verb: str, d: Dict, proxy: Proxy) -> None:
    d.update(numbered())
    proxy.plan(only_for({"k3", "k5"}, says(500, "InternalError")), verb, times=None)
    with pytest.raises(BulkOperationError) as caught:
        OPERATIONS[name][1](d)
    assert set(caught.value.failures) == {("k3",), ("k5",)}
    assert all(isinstance(error, BackendError) for error in caught.value.failures.values())
    assert caught.value.succeeded == COUNT - 2


def test_objects_that_cannot_be_removed_are_told_and_the_others_are_gone(d: Dict, proxy: Proxy) -> None:
    d.update(numbered(10))

    def locks_two(exchange: Exchange) -> None:
        names = [name for name in proxy_keys(exchange) if name.endswith(("k3.pkl", "k5.pkl"))]
        kept = {name: d[key_of(name)] for name in names}
        exchange.forward()
        for name, value in kept.items():
            d[key_of(name)] = value
        errors = "".join(
            f"<Error><Key>{name}</Key><Code>AccessDenied</Code><Message>locked</Message></Error>"
            for name in names
        )
        body = f"<DeleteResult>{errors}</DeleteResult>".encode()
        exchange.answer(Reply(200, [("Content-Type", "application/xml")], body))

    proxy.plan(locks_two, "delete_many")
    with pytest.raises(BulkOperationError) as caught:
        d.clear()
    assert {tuple(key) for key in caught.value.failures} == {("k3",), ("k5",)}
    assert caught.value.succeeded == 8
    assert d == {"k3": 3, "k5": 5}


def proxy_keys(exchange: Exchange) -> list[str]:
    """The names in a request to remove many."""
    return [part.split("</Key>")[0] for part in exchange.request.body.decode().split("<Key>")[1:]]


def key_of(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".pkl")


def test_lost_replies_among_many_do_no_harm(d: Dict, proxy: Proxy) -> None:
    d["first"] = 1
    for verb in ("put", "get", "delete_many", "list"):
        proxy.plan(drops_reply, verb, times=None, every=5)
    d.update(numbered())
    assert d == {**numbered(), "first": 1}
    d.delete_many(numbered(60))
    assert len(d) == COUNT - 60 + 1
    d.clear()
    proxy.heal()
    assert len(d) == 0


def test_a_damaged_object_among_many_is_told_by_its_key(d: Dict, proxy: Proxy) -> None:
    d.update(numbered(10))
    d.store.write(("k4.pkl",), b"damaged")
    with pytest.raises(CorruptValueError, match="k4") as caught:
        d.get_many(numbered(10))
    assert caught.value.key == ("k4",)
    assert "s3://" in str(caught.value)
    with pytest.raises(CorruptValueError):
        list(d.values())
    d.delete_many(["k4"])
    assert len(d.copy()) == 9
