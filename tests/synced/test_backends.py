"""What is special about each backend: how it stores, and what its clients and servers do to us."""

import json
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import perkey.synced
from perkey import (
    CorruptValueError,
    FileDirDict,
    LocalDict,
    MutationPolicyError,
    OutcomeUnknownError,
    WriteOnceDict,
)
from perkey.synced import (
    MongoDBDict,
    MongoDBList,
    RedisDict,
    RedisList,
    WrongKindError,
    ZarrDict,
    ZarrList,
    synced,
)
from synced.places import InDict, InMongo, InRedis, InZarr, Place, zarr_group

# --- All of them --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 0, 1.5, True, "text", "", [], [1], {}, {"a": 1}])
def test_every_other_kind_of_data_is_told_and_stays(place: Place, value: Any) -> None:
    place.put(value)
    acts: list[Any] = []
    if isinstance(place, InDict) and isinstance(value, dict | list):
        return  # `synced` is a dict or list as the item is
    if type(value) is not dict:
        acts += [
            lambda: "a" in place.dict(),
            lambda: place.dict().update(a=1),
            lambda: place.dict().clear(),
        ]
    if type(value) is not list:
        acts += [lambda: place.list().count(0), lambda: place.list().append(1), lambda: place.list().clear()]
    for act in acts:
        with pytest.raises((WrongKindError, TypeError) if isinstance(place, InDict) else WrongKindError):
            act()
    assert place.get() == value


# --- Redis ------------------------------------------------------------------------------------------


@pytest.fixture
def redis_place(place: Place) -> InRedis:
    """A key of Redis."""
    assert isinstance(place, InRedis)
    return place


@pytest.mark.backends("Redis")
def test_redis_holds_the_text_under_the_key(redis_place: InRedis) -> None:
    client, key = redis_place.client, redis_place.key
    before = set(client.keys())
    d = RedisDict(client, key)
    d["a"] = {"b": [1]}
    assert client.get(key) == b'{"a": {"b": [1]}}'
    assert set(client.keys()) - before == {key.encode()}
    assert (d.client, d.key, d["a"].key) == (client, key, key)
    client.set(key, "[1]")
    assert RedisList(client, key) == [1]
    client.set(key, "{")
    with pytest.raises(CorruptValueError, match=key):
        d["a"] = 1
    assert client.get(key) == b"{"


@pytest.mark.backends("Redis")
@pytest.mark.parametrize(
    "command",
    [("RPUSH", "1"), ("HSET", "1", "2"), ("SADD", "1"), ("ZADD", "1", "2"), ("XADD", "*", "1", "2")],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("decode", [False, True])
def test_other_types_of_redis_are_told_and_stay(
    redis_place: InRedis, command: tuple[str, ...], decode: bool
) -> None:
    import redis

    path = redis_place.client.connection_pool.connection_kwargs["path"]
    with redis.Redis(unix_socket_path=path, decode_responses=decode) as client:
        client.execute_command(command[0], redis_place.key, *command[1:])
        for act in (RedisDict(client, redis_place.key), lambda: RedisList(client, redis_place.key).append(1)):
            with pytest.raises(WrongKindError, match=r"is a Redis \w+; expected a Redis string"):
                act()
        kind = client.type(redis_place.key)
        d = RedisDict(client, redis_place.key + "-new")
        d["a"] = 1
        client.copy(redis_place.key, redis_place.key + "-new", replace=True)
        with pytest.raises(WrongKindError):  # also if the type changes under the feet of an open document
            d["a"] = 2
        assert client.type(redis_place.key) == kind


@pytest.mark.backends("Redis")
@pytest.mark.parametrize("decode", [False, True])
def test_bytes_in_redis_that_are_not_text_are_damage(redis_place: InRedis, decode: bool) -> None:
    import redis

    path = redis_place.client.connection_pool.connection_kwargs["path"]
    redis_place.client.set(redis_place.key, b"\xff\xfe")
    with (
        redis.Redis(unix_socket_path=path, decode_responses=decode) as client,
        pytest.raises(CorruptValueError),
    ):
        RedisDict(client, redis_place.key)()


@pytest.mark.backends("Redis")
def test_redis_clients_that_decode_work(redis_place: InRedis) -> None:
    import redis

    path = redis_place.client.connection_pool.connection_kwargs["path"]
    with redis.Redis(unix_socket_path=path, decode_responses=True) as client:
        d = RedisDict(client, redis_place.key)
        d["a"] = "é"
        d["b"] = 1
        redis_place.put({"theirs": "ü"})
        assert d == {"theirs": "ü"}


@pytest.mark.backends("Redis")
def test_an_unchanged_document_is_not_transferred(
    redis_place: InRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = redis_place.dict()
    d["a"] = 1
    assert d["a"] == 1
    asked = []
    eval_ = redis_place.client.eval

    def noted(*arguments: Any) -> Any:
        asked.append(eval_(*arguments))
        return asked[-1]

    monkeypatch.setattr(redis_place.client, "eval", noted)
    assert d["a"] == 1
    assert asked == [1]


@pytest.mark.backends("Redis")
def test_a_lost_reply_is_told_and_never_repeated(
    redis_place: InRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sent it again would meet its own success, take it for a conflict, and edit twice."""
    import redis
    from redis.connection import AbstractConnection

    d = redis_place.dict(data={"n": 0})
    read_response = AbstractConnection.read_response

    def lose(self: Any, *arguments: Any, **options: Any) -> Any:
        if read_response(self, *arguments, **options) != 1:
            raise AssertionError("the edit was to succeed")
        monkeypatch.undo()
        raise redis.ConnectionError("lost")

    known, _ = d.__perkey_access__.document.snapshot()
    monkeypatch.setattr(AbstractConnection, "read_response", lose)
    with pytest.raises(OutcomeUnknownError, match="the reply to a conditional write was lost"):
        d.__perkey_access__.document.edit((), dict, lambda data: data.update(n=1), since=known)
    assert redis_place.get() == {"n": 1}
    d["m"] = 1
    assert d == {"n": 1, "m": 1}


# --- MongoDB ----------------------------------------------------------------------------------------


def test_mongodb_holds_the_data_in_a_field() -> None:
    place = InMongo()
    d = MongoDBDict(place.collection, {"name": "document", "run": 3})
    d["a"] = {"b": [1], "c.d": float("inf")}
    (found,) = place.collection.find({"run": 3}, {"_id": 0, "perkey_version": 0})
    assert found == {"name": "document", "run": 3, "data": {"a": {"b": [1], "c.d": float("inf")}}}
    assert d.collection is place.collection
    assert d["a"].uid == {"name": "document", "run": 3}
    d["x"] = 1
    assert place.collection.count_documents({"run": 3}) == 1
    assert place.collection.find_one({"another": "document"})["data"] == {}


def test_mongodb_documents_of_other_programs_are_adopted() -> None:
    place = InMongo()
    place.collection.insert_one({"name": "document", "data": [1], "extra": 1})
    items, rival = MongoDBList(place.collection, {"name": "document"}), place.list()
    rival_saw: list[Any] = []

    def slow(data: list[Any]) -> list[Any]:
        if not rival_saw:
            place.collection.update_one({"name": "document"}, {"$set": {"data": [1, "theirs"]}})
            rival_saw.append(rival())
        return [*data, 2]

    items.transform(slow)
    (found,) = place.collection.find({"name": "document"})
    assert found["data"] == rival == [1, "theirs", 2]
    assert found["extra"] == 1


@pytest.mark.parametrize("uid", [{}, {"data": 1}, {"perkey_version": 1}, "name", None])
def test_mongodb_uids_are_checked(uid: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="uid"):
        MongoDBDict(InMongo().collection, uid)


def test_mongodbs_own_types_become_plain() -> None:
    from bson.int64 import Int64

    place = InMongo()
    place.put({"n": Int64(3)})
    d = place.dict()
    assert type(d["n"]) is int
    assert repr(d) == "{'n': 3}"


def test_mongodb_documents_without_the_field_are_told() -> None:
    place = InMongo()
    place.collection.insert_one({"name": "document"})
    with pytest.raises(CorruptValueError, match="the field 'data' is missing"):
        place.dict()["b"] = 1


def test_mongodb_documents_that_are_no_plain_data_are_told() -> None:
    place = InMongo()
    place.collection.insert_one({"name": "document", "data": {"a": b"bytes"}})
    with pytest.raises(CorruptValueError, match="not plain data"):
        place.dict()["b"] = 1


# --- Zarr -------------------------------------------------------------------------------------------


class Reversed:
    """A codec."""

    def encode(self, buf: bytes) -> bytes:
        return buf[::-1]

    def decode(self, buf: bytes) -> bytes:
        if not buf.startswith(b"}"):
            raise ValueError("not mine")
        return buf[::-1]


def test_zarr_holds_the_text_in_an_array_of_one_string(tmp_path: Path) -> None:
    group = zarr_group(tmp_path / "zarr")
    d = ZarrDict(group, "name")
    assert "name" not in group
    d["a"] = {"b": ["é"]}
    array = group["name"]
    assert (array.shape, array.compressors) == ((1,), ())
    assert json.loads(str(array[0])) == {"a": {"b": ["é"]}}
    assert (tmp_path / "zarr" / "name" / "c" / "0").read_bytes()[8:] == b'{"a": {"b": ["\\u00e9"]}}'
    assert (d.group, d.name, d.codec) == (group, "name", None)
    assert ZarrDict(zarr_group(tmp_path / "zarr"), "name") == {"a": {"b": ["é"]}}


def test_zarr_codecs(tmp_path: Path) -> None:
    import numcodecs

    group = zarr_group(tmp_path / "zarr")
    for codec in (Reversed(), numcodecs.Zlib(1)):
        name = type(codec).__name__
        items = ZarrDict(group, name, codec)
        items["a"] = [1]
        items["a"].append(2)
        assert ZarrDict(group, name, codec) == {"a": [1, 2]}
        assert "{" not in str(group[name][0])
    group["Reversed"][0] = "aa=="
    with pytest.raises(CorruptValueError, match="Reversed is damaged: not what the codec makes"):
        ZarrDict(group, "Reversed", Reversed())["a"] = 2
    assert ZarrList(group, "new", Reversed(), [1]) == [1]


@pytest.mark.parametrize("kind", ["group", "numbers", "two", "none", "scalar", "table"])
def test_other_things_in_zarr_are_told_and_stay(kind: str) -> None:
    import zarr

    group = zarr.group()
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "numbers": ((1,), "float64"),
        "two": ((2,), "string"),
        "none": ((0,), "string"),
        "scalar": ((), "string"),
        "table": ((1, 1), "string"),
    }
    if kind == "group":
        group.create_group("x")
    else:
        group.create_array("x", shape=shapes[kind][0], dtype=shapes[kind][1])
    before = repr(group["x"])
    for act in (ZarrDict(group, "x"), lambda: ZarrDict(group, "x").update(a=1), ZarrList(group, "x")):
        with pytest.raises(WrongKindError, match="x is a"):
            act()
    assert repr(group["x"]) == before


def test_zarr_in_memory() -> None:
    import zarr

    place = InZarr(zarr.create_group(zarr.storage.MemoryStore()))
    place.list().append(1)
    assert place.get() == [1]


# --- Items of dictionaries --------------------------------------------------------------------------


def test_the_kind_of_an_item_is_found(tmp_path: Path) -> None:
    items = FileDirDict(tmp_path, file_type="json")
    items["d"], items["l"], items["n"] = {"a": 1}, [1], 3
    assert synced(items, "d") == {"a": 1}
    assert synced(items, "l", data={"ignored": 1}) == [1]
    assert synced(items, "new", data=(1, 2)) == [1, 2]
    assert synced(items, "new") == {}
    with pytest.raises(TypeError, match="int"):
        synced(items, "n")
    assert sorted(str(key[0]) for key in items) == ["d", "l", "n"]


def test_an_item_has_the_form_of_its_dictionary(tmp_path: Path) -> None:
    items = FileDirDict(tmp_path, file_type="json")
    synced(items, "a")["x"] = [1]
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text()) == {"x": [1]}
    assert path.read_text() == json.dumps({"x": [1]}, indent=4)


def test_items_keep_what_is_more_than_plain() -> None:
    """A dictionary of pickles may hold anything; what is not touched stays, and nobody gets at it."""
    items = LocalDict()
    items["a"] = {"set": {1}, 5: (1, [2]), "plain": [1]}
    d = synced(items, "a")
    d["set"].add(2)
    d()["set"].add(2)
    d[5][1].append(3)
    d["plain"].append(2)
    assert items["a"] == {"set": {1}, 5: (1, [2]), "plain": [1, 2]}
    with pytest.raises(TypeError):
        d["set"] = {3}


def test_policies_are_kept() -> None:
    for items in (LocalDict(immutable_items=True), WriteOnceDict(LocalDict())):
        d = synced(items, "a")
        d["x"] = 1
        with pytest.raises(MutationPolicyError):
            d["y"] = 2
        assert d == items["a"] == {"x": 1}


def test_a_damaged_item_is_told_and_stays(tmp_path: Path) -> None:
    items = FileDirDict(tmp_path)
    d = synced(items, "a")
    d["x"] = 1
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"damage")
    with pytest.raises(CorruptValueError):
        d["y"] = 2
    assert path.read_bytes() == b"damage"


# --- Names ------------------------------------------------------------------------------------------


def test_every_public_name_exists_and_is_documented() -> None:
    for name in perkey.synced.__all__:
        thing = getattr(perkey.synced, name)
        assert thing.__doc__ or not isinstance(thing, type | FunctionType), name
