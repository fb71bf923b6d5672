"""Requests that are repeated, delayed or reordered on their way: each write is done once, and is told so."""

import random
import threading
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import pytest
from crews import times

from perkey.dicts.object_store_dict import ObjectStoreDict
from perkey.dicts.s3 import BasicS3Dict
from perkey.dicts.write_once import WriteOnceDict
from perkey.errors import ConflictError, OutcomeUnknownError
from perkey.expectations import ABSENT
from perkey.jokers import DELETE_CURRENT, ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, NEVER_RETRIEVE
from perkey.mapping.persi_dict import PersiDict
from perkey.stores.objects.engine import Engine
from s3.places import Place, know_server
from s3.proxy import Exchange, Proxy, drops_reply, repeats, repeats_after, says
from s3.servers import Server, client_of
from s3.test_object_store_dict import options_for

Dict: TypeAlias = PersiDict[Any]
Client: TypeAlias = Literal["boto3", "obstore", "cached", "address", "own client"]

pytestmark = pytest.mark.usefixtures("quick_pauses")


@pytest.fixture(
    params=[
        "boto3",
        "obstore",
        "address",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("cached", "own client")),
    ]
)
def client(request: pytest.FixtureRequest) -> Client:
    """By which way the dictionary reaches the service."""
    found: Client = request.param
    return found


@pytest.fixture
def place(ministack: Server, bucket: str) -> Place:
    """The place without the proxy, where the rivals are."""
    found = Place(ministack.endpoint, bucket)
    know_server(found.open())
    found.open()["other"] = 0
    return found


@pytest.fixture
def rival(place: Place) -> Dict:
    """Another writer, whose requests are not repeated."""
    return place.open()


@pytest.fixture
def d(client: Client, proxy: Proxy, place: Place, tmp_path: Any) -> Dict:
    """A dictionary with an item "a" of 1, whose endpoint has been asked all questions."""
    found = opened(client, proxy, place, tmp_path)
    found.setdefault("a", 1)
    found.transform_item("a", transformer=lambda it: it)
    proxy.forget()
    return found


def opened(client: Client, proxy: Proxy, place: Place, tmp_path: Any, **params: Any) -> Dict:
    if client == "address":
        url = f"s3://{place.bucket}/{place.prefix}"
        return ObjectStoreDict(url, options=options_for(proxy.endpoint), **params)
    there = Place(proxy.endpoint, place.bucket, "obstore" if client == "obstore" else "boto3")
    know_server(there.open())
    if client == "cached":
        return there.open_cached(tmp_path / "cache", **params)
    if client == "own client":
        return Place(None, place.bucket).open(client=client_of(proxy.endpoint), **params)
    return there.open(**params)


def plus_one(value: Any) -> Any:
    return 1 if value is ITEM_NOT_AVAILABLE else value + 1


def insert(d: Dict) -> None:
    result = d.set_item_if("new", value=2, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE)
    assert result.condition_was_satisfied
    assert result.resulting_etag == d.etag("new")


def insert_default(d: Dict) -> None:
    assert d.setdefault_if("new", default_value=2).condition_was_satisfied


def setdefault(d: Dict) -> None:
    assert d.setdefault("new", 2) == 2


def swap(d: Dict) -> None:
    result = d.set_item_if("a", value=2, condition=ETAG_IS_THE_SAME, expected_etag=d.etag("a"))
    assert result.condition_was_satisfied
    assert result.new_value == 2
    assert result.resulting_etag == d.etag("a")


def swap_unseen(d: Dict) -> None:
    condition: dict[str, Any] = {"condition": ETAG_IS_THE_SAME, "retrieve_value": NEVER_RETRIEVE}
    etag = d.etag("a")
    assert d.set_item_if("a", value=2, expected_etag=etag, **condition).condition_was_satisfied


def transform(d: Dict) -> None:
    result = d.transform_item("a", transformer=plus_one)
    assert (result.new_value, result.resulting_etag) == (2, d.etag("a"))


def transform_once(d: Dict) -> None:
    assert d.transform_item("a", transformer=plus_one, n_retries=0).new_value == 2


def transform_new(d: Dict) -> None:
    assert d.transform_item("new", transformer=lambda _: 2).new_value == 2


def assign(d: Dict) -> None:
    d["a"] = 2


WRITES: dict[str, tuple[Callable[[Dict], None], dict[str, int]]] = {
    "insert": (insert, {"a": 1, "new": 2}),
    "insert default": (insert_default, {"a": 1, "new": 2}),
    "setdefault": (setdefault, {"a": 1, "new": 2}),
    "swap": (swap, {"a": 2}),
    "swap unseen": (swap_unseen, {"a": 2}),
    "transform": (transform, {"a": 2}),
    "transform once": (transform_once, {"a": 2}),
    "transform new": (transform_new, {"a": 1, "new": 2}),
    "assign": (assign, {"a": 2}),
}


def items(d: Dict) -> dict[str, Any]:
    return {key[0]: value for key, value in d.items() if key[0] != "other"}


@pytest.mark.parametrize("name", WRITES)
def test_a_repeated_write_is_done_once_and_known_to_be_done(name: str, d: Dict, proxy: Proxy) -> None:
    act, left = WRITES[name]
    proxy.plan(repeats, "put", times=None)
    act(d)
    proxy.heal()
    assert items(d) == left


@pytest.mark.parametrize("name", WRITES)
def test_a_repeated_write_whose_replies_are_lost_is_done_once(name: str, d: Dict, proxy: Proxy) -> None:
    def repeats_and_drops(exchange: Exchange) -> None:
        exchange.forward()
        drops_reply(exchange)

    act, left = WRITES[name]
    proxy.plan(repeats_and_drops, "put")
    act(d)
    proxy.heal()
    assert items(d) == left


@pytest.mark.parametrize("name", ["swap", "transform", "insert"])
def test_a_repeated_write_needs_no_request_more_than_a_conflict(name: str, d: Dict, proxy: Proxy) -> None:
    """What was there is read after a conflict anyway."""
    proxy.plan(repeats, "put")
    swap_with: dict[str, Any] = {"condition": ETAG_IS_THE_SAME, "expected_etag": d.etag("a")}
    proxy.forget()
    if name == "swap":
        d.set_item_if("a", value=2, **swap_with)
        assert proxy.counts == {"put": 1, "get": 1}
    elif name == "transform":
        d.transform_item("a", transformer=plus_one)
        assert proxy.counts == {"get": 2, "put": 1}
    else:
        d.setdefault_if("new", default_value=1)
        assert proxy.counts == {"put": 1, "get": 1}


@pytest.mark.parametrize("count", [1, 2, 16])
def test_what_rivals_have_built_on_a_repeated_write_is_kept_and_counted(
    count: int, d: Dict, proxy: Proxy, rival: Dict
) -> None:
    def build() -> None:
        for _ in range(count):
            rival.transform_item("a", transformer=plus_one)

    proxy.plan(repeats_after(build), "put")
    result = d.transform_item("a", transformer=plus_one)
    assert result.new_value == 2
    assert d["a"] == 2 + count
    # The version that the call left is no more there, and must not be taken for that of the rivals.
    swapped = d.set_item_if("a", value=0, condition=ETAG_IS_THE_SAME, expected_etag=result.resulting_etag)
    assert not swapped.condition_was_satisfied
    assert d["a"] == 2 + count


def test_an_insert_that_rivals_have_built_on_has_its_winner(d: Dict, proxy: Proxy, rival: Dict) -> None:
    """However many there were: an insert is the root of the chain."""

    def build() -> None:
        for _ in range(40):
            rival.transform_item("new", transformer=plus_one)

    proxy.plan(repeats_after(build), "put")
    assert d.setdefault_if("new", default_value=0).condition_was_satisfied
    assert d["new"] == 40


def test_more_rivals_than_the_chain_is_long_leave_the_outcome_unknown(
    d: Dict, proxy: Proxy, rival: Dict
) -> None:
    def build() -> None:
        for _ in range(20):
            rival.transform_item("a", transformer=plus_one)

    proxy.plan(repeats_after(build), "put")
    with pytest.raises(OutcomeUnknownError, match="read the item and decide"):
        d.transform_item("a", transformer=plus_one)
    assert d["a"] == 22


def test_a_write_that_rivals_overtook_is_a_conflict_however_many_they_were(
    d: Dict, proxy: Proxy, rival: Dict
) -> None:
    """Without any repetition nothing is in doubt, even if the writer is slow."""
    rounds = iter(range(1))

    def slowly(value: int) -> int:
        for _ in rounds:
            for _ in range(40):
                rival.transform_item("a", transformer=plus_one)
        return value + 1

    assert d.transform_item("a", transformer=slowly).new_value == 42
    etag = d.etag("a")
    rival["a"] = 0
    assert not d.set_item_if(
        "a", value=9, condition=ETAG_IS_THE_SAME, expected_etag=etag
    ).condition_was_satisfied
    assert proxy.counts["put"] == 3


def test_a_rival_that_was_faster_is_a_conflict_though_the_request_is_repeated(
    d: Dict, proxy: Proxy, rival: Dict
) -> None:
    def is_late(exchange: Exchange) -> None:
        rival.transform_item("a", transformer=lambda value: value + 10)
        repeats(exchange)

    def is_late_again(exchange: Exchange) -> None:
        rival.setdefault("new", 5)
        repeats(exchange)

    proxy.plan(is_late, "put")
    assert d.transform_item("a", transformer=plus_one).new_value == 12
    proxy.plan(is_late_again, "put")
    assert not d.setdefault_if("new", default_value=6).condition_was_satisfied
    assert d["new"] == 5


def test_an_assignment_upon_a_repeated_write_is_a_conflict_with_it(
    d: Dict, proxy: Proxy, rival: Dict
) -> None:
    """It keeps no marks of what it overwrites, so the increment is done upon it."""
    proxy.plan(repeats_after(lambda: rival.__setitem__("a", 100)), "put")
    assert d.transform_item("a", transformer=plus_one).new_value == 101


def test_a_plain_write_repeated_after_a_lost_reply_overwrites_nothing_built_on_it(
    d: Dict, proxy: Proxy, rival: Dict
) -> None:
    """The first request arrives when the second is about to be sent."""
    held: list[Exchange] = []

    def is_held_back(exchange: Exchange) -> None:
        held.append(exchange)
        exchange.hang_up()

    def comes_after_the_first(exchange: Exchange) -> None:
        held[0].forward()
        rival.transform_item("a", transformer=plus_one)
        exchange.answer(exchange.forward())

    proxy.plan(is_held_back, "put")
    proxy.plan(comes_after_the_first, "put")
    d["a"] = 10
    assert d["a"] == 11


def test_an_increment_built_on_a_plain_write_whose_reply_was_lost_is_kept(
    d: Dict, proxy: Proxy, rival: Dict
) -> None:
    def is_built_on(exchange: Exchange) -> None:
        exchange.forward()
        rival.transform_item("a", transformer=plus_one)
        exchange.hang_up()

    proxy.plan(is_built_on, "put")
    d["a"] = 10
    assert d["a"] == 11


# --- Immutable items, many items --------------------------------------------------------------------


def test_immutable_items_are_inserted_by_repeated_requests(
    client: Client, proxy: Proxy, place: Place, tmp_path: Any
) -> None:
    d = opened(client, proxy, place, tmp_path, immutable_items=True)
    d["first"] = 0
    proxy.plan(repeats, "put", times=None)
    d["a"] = 1
    d.set_many({f"k{number}": number for number in range(5)})
    once = WriteOnceDict(d)
    once["b"] = 2
    proxy.heal()
    assert (d["a"], d["k4"], once["b"]) == (1, 4, 2)


def test_a_store_settles_a_conflict_by_itself_where_nothing_is_read_after_it(
    d: Dict, proxy: Proxy, rival: Dict
) -> None:
    version = d.store.stat(("a.pkl",)).version
    proxy.plan(repeats, "put", times=2)
    newer = d.store.write(("a.pkl",), b"2", expect=version)
    assert newer == rival.etag("a")
    d.store.write(("new.pkl",), b"2", expect=ABSENT)
    with pytest.raises(ConflictError):
        d.store.write(("a.pkl",), b"3", expect=version)


# --- Uploads in parts -------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["begin", "part", "complete"])
@pytest.mark.parametrize("name", ["assign", "insert", "swap"])
def test_repeated_requests_of_an_upload_in_parts_are_one_write(
    name: str, verb: str, proxy: Proxy, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "part_size", 1 << 20)
    d: BasicS3Dict[Any] = Place(proxy.endpoint, place.bucket).open()
    d["a"] = b"small"
    d._bucket.multipart_above = 1 << 20
    value = random.Random(1).randbytes(3 << 20)
    d["first"] = value  # the questions about uploads in parts are asked
    d.setdefault("second", value)
    d.transform_item("second", transformer=lambda it: it[::-1])
    proxy.plan(repeats, verb)
    if name == "assign":
        d["a"] = value
    elif name == "insert":
        assert d.setdefault_if("a2", default_value=value).condition_was_satisfied
    else:
        d.transform_item("a", transformer=lambda _: value)
    assert d["a2" if name == "insert" else "a"] == value


# --- Removals ---------------------------------------------------------------------------------------


def says_that_it_is_gone(exchange: Exchange) -> None:
    """Repeat a removal on a service that says 404 of an absent object."""
    exchange.forward()
    says(404, "NoSuchKey")(exchange)


REMOVALS: dict[str, Callable[[Dict], object]] = {
    "del": lambda d: d.__delitem__("a"),
    "pop": lambda d: d.pop("a"),
    "discard_if": lambda d: d.discard_if("a", condition=ETAG_IS_THE_SAME, expected_etag=d.etag("a")),
    "transform": lambda d: d.transform_item("a", transformer=lambda _: DELETE_CURRENT),
}


@pytest.mark.parametrize("client", ["boto3", "obstore"])
@pytest.mark.parametrize("name", REMOVALS)
def test_where_requests_were_seen_to_be_repeated_a_removal_of_what_is_gone_is_unknown(
    name: str, d: Dict, proxy: Proxy
) -> None:
    proxy.plan(repeats, "put")
    d.transform_item("a", transformer=plus_one)
    proxy.plan(says_that_it_is_gone, "delete")
    with pytest.raises(OutcomeUnknownError):
        REMOVALS[name](d)
    assert "a" not in d


@pytest.mark.parametrize("client", ["boto3"])
def test_where_none_were_seen_a_removal_of_what_is_gone_is_a_rivals(
    d: Dict, proxy: Proxy, rival: Dict
) -> None:
    """Of several that pop an item one gets it, and the others get a KeyError."""

    def is_overtaken(exchange: Exchange) -> None:
        del rival["a"]
        says(404, "NoSuchKey")(exchange)

    proxy.plan(is_overtaken, "delete")
    with pytest.raises(KeyError):
        d.pop("a")


@pytest.mark.parametrize("client", ["boto3", "obstore"])
def test_a_removal_whose_reply_was_lost_and_whose_item_lives_on_is_a_conflict(
    d: Dict, proxy: Proxy, rival: Dict
) -> None:
    """The chain shows that it was not removed meanwhile."""

    def is_overtaken(exchange: Exchange) -> None:
        rival.transform_item("a", transformer=plus_one)
        exchange.forward()
        exchange.hang_up()

    etag = d.etag("a")
    proxy.plan(is_overtaken, "delete")
    assert not d.discard_if("a", condition=ETAG_IS_THE_SAME, expected_etag=etag).condition_was_satisfied
    assert d["a"] == 2


# --- Versions that this process has not read --------------------------------------------------------


@pytest.mark.parametrize("client", ["boto3", "obstore", "address"])
def test_an_etag_from_elsewhere_is_looked_up_so_that_the_chain_goes_on(
    d: Dict, proxy: Proxy, rival: Dict
) -> None:
    etag = rival.etag("a")
    fresh: Dict = type(d)(**d.get_params())
    proxy.forget()
    assert fresh.set_item_if(
        "a", value=2, condition=ETAG_IS_THE_SAME, expected_etag=etag
    ).condition_was_satisfied
    assert proxy.counts == {"head": 1, "put": 1}
    proxy.forget()
    stale = fresh.set_item_if("a", value=3, condition=ETAG_IS_THE_SAME, expected_etag="0" * 32)
    assert not stale.condition_was_satisfied
    assert proxy.counts == {"head": 1, "get": 1}, "nothing is sent where the item is at another version"


def test_an_old_cache_does_not_cut_the_chain(proxy: Proxy, place: Place, tmp_path: Any, rival: Dict) -> None:
    opened("cached", proxy, place, tmp_path)["a"] = 1
    fresh = opened("cached", proxy, place, tmp_path)
    mine = Place(proxy.endpoint, place.bucket).open()

    def is_built_on() -> None:
        fresh.transform_item("a", transformer=plus_one)

    proxy.plan(repeats_after(is_built_on), "put")
    mine.transform_item("a", transformer=plus_one)
    assert rival["a"] == 3


# --- All at once ------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["boto3", "obstore", "address"])
def test_counts_are_exact_though_requests_are_repeated_and_replies_lost(
    client: Client, place: Place, ministack: Server, tmp_path: Any
) -> None:
    """Three clients, 10 % of requests repeated, 10 % of replies lost."""
    rounds = times(60, 2000)
    chance = random.Random(7)
    turn = threading.Lock()

    def spoils(exchange: Exchange) -> None:
        with turn:
            kind = chance.random()
        if kind < 0.1:
            exchange.forward()
        reply = exchange.forward()
        if 0.05 < kind < 0.15:
            exchange.hang_up()
        else:
            exchange.answer(reply)

    with Proxy(ministack.endpoint).running() as proxy:
        handles = [opened(client, proxy, place, tmp_path) for _ in range(3)]
        handles[0].transform_item("warm", transformer=plus_one)
        proxy.plan(spoils, times=None)
        done, unknown, won = [0] * 3, [0] * 3, [0] * 3

        def work(number: int) -> None:
            d = handles[number]
            for turn in range(rounds):
                try:
                    d.transform_item("counter", transformer=plus_one)
                    done[number] += 1
                except OutcomeUnknownError:
                    unknown[number] += 1
                try:
                    won[number] += d.setdefault_if(f"t{turn}", default_value=number).condition_was_satisfied
                except OutcomeUnknownError:
                    unknown[number] += 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        proxy.heal()
    counted = place.open()["counter"]
    print(f"{client}: {counted} counted, {done} done, {unknown} unknown, {won} of {rounds} inserts won")
    assert sum(done) <= counted <= sum(done) + sum(unknown)
    assert rounds - sum(unknown) <= sum(won) <= rounds
    assert sum(unknown) <= max(2, 6 * rounds // 100)
