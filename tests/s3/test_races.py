"""Eight processes at once on one bucket: nothing is lost, and there is one winner only."""

from collections import Counter
from collections.abc import Iterator

import pytest
from crews import times

from perkey.errors import UnsupportedConditionError
from perkey.jokers import ETAG_IS_THE_SAME
from s3 import workers
from s3.crews import SIZE, Crew
from s3.engines import each_engine
from s3.places import EngineName, Place
from s3.proxy import Proxy, drops_reply
from s3.servers import Server

MIB = 1 << 20


@pytest.fixture
def place(server: Server, bucket: str, engine: EngineName) -> Place:
    return Place(server.endpoint, bucket, engine)


@each_engine
@pytest.mark.parametrize(
    ("rounds", "ballast"), [(times(6, 200), 0), (1, times(2, 8) * MIB)], ids=["small", "streamed"]
)
def test_no_increment_is_lost_and_none_is_done_twice(
    rounds: int, ballast: int, place: Place, crew: Crew
) -> None:
    crew.run(workers.increment, place, rounds, ballast)
    count, marks, last = place.open()["counter"]
    assert count == SIZE * rounds
    assert Counter(marks) == Counter((worker, number) for worker in range(SIZE) for number in range(rounds))
    assert len(last) == ballast
    for worker in range(SIZE):
        assert [number for by, number in marks if by == worker] == list(range(rounds)), "in another order"


@each_engine
@pytest.mark.parametrize(("keys", "ballast"), [(times(12, 500), 0), (1, 8 * MIB)], ids=["small", "8 MiB"])
def test_each_key_has_exactly_one_creator(keys: int, ballast: int, place: Place, crew: Crew) -> None:
    winners = crew.run(workers.create, place, keys, ballast)
    assert sorted(key for won in winners for key in won) == list(range(keys))
    d = place.open()
    for worker, won in enumerate(winners):
        for key in won:
            assert d[str(key)] == (worker, workers.noise(worker, ballast))


@each_engine
def test_readers_never_see_a_torn_value(place: Place, crew: Crew) -> None:
    rounds = times(10, 200)
    place.open()["shared"] = (0, 0, workers.noise(0, 200_000))
    reads = crew.run(workers.rewrite, place, rounds)
    assert reads == [rounds, 0] * (SIZE // 2)


# --- Removals under a condition ---------------------------------------------------------------------


@each_engine
def test_each_item_is_popped_once_where_removals_are_compared(
    moto_server: Server, bucket: str, engine: EngineName, crew: Crew
) -> None:
    place = Place(moto_server.endpoint, bucket, engine)
    count = times(24, 400)
    place.open().update({str(number): number for number in range(count)})
    popped = crew.run(workers.pop_all, place)
    assert sorted(value for values in popped for value in values) == list(range(count))


@each_engine
def test_no_compared_removal_takes_an_increment_with_it(
    moto_server: Server, bucket: str, engine: EngineName, crew: Crew
) -> None:
    """What was removed at a version was read at that version: increments are removed knowingly, or stay."""
    place = Place(moto_server.endpoint, bucket, engine)
    done = Counter[str]()
    for _ in range(20):  # it may be that each removal of one turn is overtaken
        done += sum(crew.run(workers.delete_compared, place, times(6, 200)), Counter[str]())
        if done["deleted"]:
            break
    assert done["deleted"] > 0
    assert done["incremented"] == done["taken"] + place.open().get("counter", 0)


def test_a_server_that_does_not_compare_removals_refuses_them(
    servers_that_do_not_compare_removals: Server, bucket: str
) -> None:
    d = Place(servers_that_do_not_compare_removals.endpoint, bucket).open()
    d["a"] = 1
    etag = d.etag("a")
    with pytest.raises(UnsupportedConditionError, match=f"s3://{bucket}/.*remove.*ignores such conditions"):
        d.discard_if("a", condition=ETAG_IS_THE_SAME, expected_etag=etag)
    with pytest.raises(UnsupportedConditionError):
        d.pop("a")
    assert d["a"] == 1
    del d["a"]
    assert "a" not in d


# --- Lost replies -----------------------------------------------------------------------------------


@pytest.fixture
def lossy(ministack: Server) -> Iterator[Proxy]:
    """A proxy that loses the replies to 5 % of all writes, after they were done."""
    with Proxy(ministack.endpoint).running() as proxy:
        yield proxy


@each_engine
def test_counters_are_exact_though_5_percent_of_replies_are_lost(
    lossy: Proxy, bucket: str, engine: EngineName, crew: Crew
) -> None:
    """Each increment is done once, or once or not at all where it is said that this is not known."""
    rounds = times(10, 200)
    place = Place(lossy.endpoint, bucket, engine)
    place.open()["counter"] = (0, [], b"")
    lossy.forget()
    lossy.plan(drops_reply, "put", times=None, every=20)
    lossy.plan(drops_reply, "get", times=None, every=20)
    results = crew.run(workers.increment_on_bad_ways, place, rounds)
    lossy.heal()
    sure = [mark for done, _ in results for mark in done]
    unsure = [mark for _, unknown in results for mark in unknown]
    assert len(sure) + len(unsure) == SIZE * rounds
    count, marks, _ = place.open()["counter"]
    assert count == len(marks) == len(set(marks))
    assert set(sure) <= set(marks) <= {*sure, *unsure}
    lost = sum(lossy.counts[verb] // 20 for verb in ("put", "get"))
    print(f"{count} of {SIZE * rounds} increments done; {lost} replies lost, {len(unsure)} outcomes unknown")
    assert lost >= rounds // 5
