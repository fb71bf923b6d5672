"""Dictionaries by address, over all that obstore reaches, and what they refuse."""

import ast
import pickle
import secrets
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore
import pytest
from contracts.dicts import AddOnlySmoke, PolicySmoke

from perkey.dicts.file_dir import FileDirDict
from perkey.dicts.object_store_dict import ObjectStoreDict
from perkey.dicts.s3 import BasicS3Dict
from perkey.errors import (
    AccessDeniedError,
    BackendError,
    MutationPolicyError,
    UnsupportedConditionError,
)
from perkey.expectations import ABSENT, ANY
from perkey.jokers import DELETE_CURRENT, ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE
from perkey.mapping.persi_dict import PersiDict
from perkey.naming import Name
from perkey.stores import Store
from perkey.stores.objects.addresses import harmless, harmless_to_clients, joined, kind_of
from perkey.stores.objects.engine import Engine, TryAgain, Unclear, Unsupported
from perkey.stores.objects.obstore_url import ObstoreStore, UrlEngine
from perkey.testing import WritingStoreContract
from s3.credentials import ACCESS_KEY, REGION, SECRET_KEY
from s3.like_clouds import AzureLike, Cloud, GoogleLike
from s3.proxy import Proxy, drops_reply, drops_request, says
from s3.servers import Server, client_of

pytestmark = pytest.mark.usefixtures("quick_pauses")

Dict = ObjectStoreDict[Any]


def options_for(endpoint: str) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "region": REGION,
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
    }


@pytest.fixture(scope="module")
def shared_bucket(ministack: Server) -> str:
    """A bucket for the whole module."""
    name = f"perkey-{secrets.token_hex(8)}"
    ministack.client().create_bucket(Bucket=name)
    return name


@pytest.fixture
def s3_url(shared_bucket: str) -> str:
    """The address of a new prefix in a bucket."""
    return f"s3://{shared_bucket}/{secrets.token_hex(8)}/pre/fix"


@pytest.fixture
def d(s3_url: str, proxy: Proxy) -> Dict:
    return ObjectStoreDict(s3_url, options=options_for(proxy.endpoint))


# --- Contracts --------------------------------------------------------------------------------------


class UncomparedRemovals(WritingStoreContract):
    """Of several that remove one item at once, more than one may succeed: nobody compares."""

    rounds = 5
    verbs = ("read", "read", "write", "write")

    def test_of_many_that_remove_an_item_one_does(self, store: Store, handles: list[Store]) -> None:
        for turn in range(self.rounds):
            name = (f"{turn % 3}.pkl",)
            store.write(name, b"one")
            results = self.race(handles, lambda _, handle, name=name: handle.remove(name))  # type: ignore[misc]
            assert None in results
            assert all(result is None or isinstance(result, KeyError) for result in results)
            assert not store.exists(name)

    def test_absent_items_are_told_as_key_errors_and_hold_nothing_up(self, store: Store) -> None:
        """Many are removed without a look at each."""
        names: list[Name] = [(f"{number}.pkl",) for number in range(20)]
        for name in names[::2]:
            store.write(name, b"x")
        read = dict(store.read_many(names))
        assert [isinstance(read[name], KeyError) for name in names] == [False, True] * 10
        assert dict(store.remove_many(names)) == dict.fromkeys(names)
        assert self.names(store) == []


class TestStoreInMemory(UncomparedRemovals):
    empty_places_take_long = True

    def make_store(self) -> Store:
        return ObstoreStore(f"memory://{secrets.token_hex(8)}/pre/fix")


class TestStoreOnMinistack(UncomparedRemovals):
    empty_places_take_long = True
    rounds = 2
    threads = 3

    @pytest.fixture(autouse=True)
    def _place(self, s3_url: str, ministack: Server) -> None:
        self.url, self.endpoint = s3_url, ministack.endpoint

    def make_store(self) -> Store:
        return ObstoreStore(self.url, options=options_for(self.endpoint))


class TestStoreLikeGoogle(UncomparedRemovals):
    empty_places_take_long = True

    @pytest.fixture(autouse=True)
    def _place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = like(GoogleLike, "gs://bucket/pre/fix", monkeypatch)

    def make_store(self) -> Store:
        return ObstoreStore(self.url)


class TestStoreLikeAzure(UncomparedRemovals):
    empty_places_take_long = True

    @pytest.fixture(autouse=True)
    def _place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = like(AzureLike, "az://container/pre/fix", monkeypatch)

    def make_store(self) -> Store:
        return ObstoreStore(self.url, options={"account_name": "somebody"})


def like(cloud: type[Cloud], url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let a stand-in be at all addresses, and return one."""
    one = cloud()
    monkeypatch.setattr(UrlEngine, "_make_stores", lambda *_: (one, one))
    return f"{url}/{secrets.token_hex(8)}"


class TestDictInMemory(AddOnlySmoke, PolicySmoke):
    def make_dict(self, **params: Any) -> PersiDict[Any]:
        return ObjectStoreDict(f"memory://{secrets.token_hex(8)}/pre/fix", **params)


# --- Conditions -------------------------------------------------------------------------------------


def plus_one(value: Any) -> Any:
    return 1 if value is ITEM_NOT_AVAILABLE else value + 1


@pytest.mark.parametrize("place", ["memory", "s3"])
def test_no_increment_of_many_threads_is_lost(place: str, request: pytest.FixtureRequest) -> None:
    d: Dict = (
        request.getfixturevalue("d")
        if place == "s3"
        else ObjectStoreDict(f"memory://{secrets.token_hex(8)}", file_type="json")
    )
    with ThreadPoolExecutor(8) as pool:
        for _ in range(40):
            pool.submit(d.transform_item, "n", transformer=plus_one, n_retries=None)
    assert d["n"] == 40
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda number: d.setdefault("first", number), range(8)))) == 1


REFUSED: dict[str, Callable[[Dict], object]] = {
    "pop": lambda d: d.pop("a"),
    "popitem": lambda d: d.popitem(),
    "discard_if": lambda d: d.discard_if("a", condition=ETAG_IS_THE_SAME, expected_etag=d.etag("a")),
    "transform_item": lambda d: d.transform_item("a", transformer=lambda _: DELETE_CURRENT),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_removal_on_a_condition_is_refused_and_changes_nothing(name: str) -> None:
    d = ObjectStoreDict[int](f"memory://{secrets.token_hex(8)}/pre")
    d["a"] = 1
    etag = d.etag("a")
    with pytest.raises(UnsupportedConditionError, match=r"memory://.*the client library cannot express it"):
        REFUSED[name](d)
    assert (d["a"], d.etag("a")) == (1, etag)
    del d["a"]
    assert not d.discard("a")


def test_an_endpoint_that_ignores_conditions_is_found_out(rclone: Server, bucket: str) -> None:
    rclone.client().create_bucket(Bucket=bucket)
    d: Dict = ObjectStoreDict(f"s3://{bucket}/p", options=options_for(rclone.endpoint))
    d["a"] = 1
    d["x", "b"] = 2
    with pytest.raises(UnsupportedConditionError, match=f"{rclone.endpoint} ignores such conditions"):
        d.setdefault("c", 3)
    with pytest.raises(UnsupportedConditionError):
        d.transform_item("a", transformer=plus_one)
    assert dict(d.items()) == {("a",): 1, ("x", "b"): 2}
    assert list(d.subdicts()) == ["x"]
    d.clear()
    assert "Contents" not in rclone.client().list_objects_v2(Bucket=bucket)


def test_a_store_asked_for_it_directly_refuses_too() -> None:
    engine = UrlEngine("memory://")
    engine.put("a", b"", expect=ANY, write_id="w")
    with pytest.raises(Unsupported):
        engine.delete("a", version=engine.head("a").version)
    assert engine.head("a").write_id == "w"


# --- Requests, faults, errors -----------------------------------------------------------------------


def test_operations_send_as_many_requests_as_are_said(d: Dict, proxy: Proxy) -> None:
    d.update({"old": 1, ("sub", "old"): 2})
    assert d.setdefault("first", 0) == 0
    assert d.transform_item("first", transformer=plus_one).new_value == 1
    costs: list[tuple[Callable[[], object], dict[str, int]]] = [
        (lambda: d["old"], {"get": 1}),
        (lambda: d.__setitem__("old", 3), {"put": 1}),
        (lambda: "old" in d, {"head": 1}),
        (lambda: d.setdefault("old", 3), {"get": 1}),
        (lambda: d.setdefault("new", 3), {"get": 1, "put": 1}),
        (lambda: d.transform_item("old", transformer=plus_one), {"get": 1, "put": 1}),
        (lambda: d.__delitem__("old"), {"head": 1, "delete_many": 1}),
        (lambda: len(d), {"list": 1}),
        (lambda: d.get_subdict("sub"), {}),
        (lambda: ObjectStoreDict(**d.get_params()), {}),
        (d.clear, {"list": 1, "delete_many": 1}),
    ]
    for act, requests in costs:
        proxy.forget()
        act()
        assert proxy.counts == requests


def test_large_values_go_up_in_parts_and_conditional_ones_at_once(
    d: Dict, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "part_size", 5 << 20)
    assert isinstance(d.store, ObstoreStore)
    d.store.engine.multipart_above = 1 << 20
    value = secrets.token_bytes(6 << 20)
    d["a"] = value
    assert proxy.counts == {"begin": 1, "part": 2, "complete": 1}
    assert d["a"] == value
    assert d.setdefault("b", value) == value
    assert d.transform_item("b", transformer=lambda it: it[::-1]).new_value == value[::-1]
    assert d["b"] == value[::-1]
    assert proxy.counts["begin"] == 1


@pytest.mark.parametrize("fault", [says(503, "SlowDown"), says(500, "InternalError"), drops_request])
def test_a_passing_fault_is_another_attempt(fault: Any, d: Dict, proxy: Proxy) -> None:
    acts: dict[str, Callable[[], object]] = {
        "put": lambda: d.__setitem__("a", 1),
        "get": lambda: d["a"],
        "head": lambda: "a" in d,
        "list": lambda: len(d),
        "delete_many": lambda: d.delete_many(["a"]),
    }
    for verb, act in acts.items():
        proxy.plan(fault, verb)
        act()
        assert proxy.counts[verb] >= 2, verb


def test_an_update_whose_reply_was_lost_is_not_done_again(d: Dict, proxy: Proxy) -> None:
    d["n"] = 0
    d.transform_item("n", transformer=plus_one)
    proxy.plan(drops_reply, "put", times=5, every=2)
    for _ in range(10):
        d.transform_item("n", transformer=plus_one)
    assert d["n"] == 11


def test_a_refusal_is_not_absence_and_tells_no_secret(d: Dict, proxy: Proxy, s3_url: str) -> None:
    proxy.plan(says(403, "AccessDenied", "no"), times=None)
    for act in (lambda: d["a"], lambda: "a" in d, lambda: d.__setitem__("a", 1), lambda: len(d), d.clear):
        with pytest.raises(AccessDeniedError, match=s3_url) as caught:
            act()
        assert SECRET_KEY not in str(caught.value)
        assert isinstance(caught.value, PermissionError)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_one_that_cannot_be_deleted_is_told_and_the_others_are(d: Dict, proxy: Proxy) -> None:
    d.update({"a": 1, "b": 2})
    proxy.plan(says(403, "AccessDenied", "no"), "delete_many", times=2)
    with pytest.raises(AccessDeniedError):
        d.delete_many(["a", "b"])
    assert len(d) == 1


def test_a_missing_bucket_is_empty_and_has_to_be_made_by_others(proxy: Proxy, bucket: str) -> None:
    d: Dict = ObjectStoreDict(f"s3://{bucket}/p", options=options_for(proxy.endpoint))
    assert d.get("a") is None
    assert len(d) == 0
    assert "a" not in d
    with pytest.raises(BackendError, match=f"s3://{bucket}/p/: the bucket or container does not exist"):
        d["a"] = 1


def test_where_nobody_listens_the_error_says_where(ministack: Server, bucket: str) -> None:
    with Proxy(ministack.endpoint).running() as gone:
        d: Dict = ObjectStoreDict(f"s3://{bucket}/p", options=options_for(gone.endpoint), retry_for=0.2)
    with pytest.raises(BackendError, match=f"cannot read s3://{bucket}/p/a.pkl: .*{gone.endpoint}"):
        d["a"]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (409, "LeaseAlreadyPresent", TryAgain),
        (429, "TooManyRequests", TryAgain),
        (500, "InternalError", Unclear),
        (401, "NoAuthenticationInformation", AccessDeniedError),
        (400, "ExpiredToken", AccessDeniedError),
        (400, "InvalidArgument", BackendError),
        (501, "NotImplemented", Unsupported),
    ],
)
def test_a_reply_means_what_it_says(
    d: Dict, proxy: Proxy, status: int, code: str, kind: type[Exception]
) -> None:
    assert isinstance(d.store, ObstoreStore)
    proxy.plan(says(status, code, "as planned"), "put", times=2)
    with pytest.raises(kind) as caught:
        d.store.engine.put("a", b"", expect=ABSENT, write_id="w")
    assert type(caught.value) is kind


def test_an_option_that_does_not_exist_is_told(bucket: str) -> None:
    d: Dict = ObjectStoreDict(f"s3://{bucket}/p", options={"regoin": "here"})
    with pytest.raises(BackendError, match="regoin"):
        d["a"] = 1


def client_option_names() -> list[str]:
    """Return the names of the options of obstore's HTTP client, as its stub lists them."""
    assert obstore.__file__
    stub = ast.parse((Path(obstore.__file__).parent / "_store" / "_client.pyi").read_text())
    lists = [
        each for each in ast.walk(stub) if isinstance(each, ast.ClassDef) and each.name == "ClientConfig"
    ]
    fields = [each.target for each in lists[0].body if isinstance(each, ast.AnnAssign)]
    return [each.id for each in fields if isinstance(each, ast.Name)]


@pytest.mark.parametrize("name", client_option_names())
@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_an_option_of_the_client_among_those_of_the_service_is_refused(scheme: str, name: str) -> None:
    """Obstore would end the thread that meets it, with no exception that programs catch."""
    endpoint = {"endpoint": "http://127.0.0.1:9"}
    for spelling in (name, name.upper(), f"aws_{name}", f"google_{name}", f"azure_{name}"):
        for options in ({spelling: "1"}, {**endpoint, spelling: "1"}, {spelling: "1", **endpoint}):
            with pytest.raises(ValueError, match=f"^{spelling} .*client_options"):
                ObjectStoreDict(f"{scheme}://bucket/p", options=options)


def test_a_missing_folder_for_temporary_files_is_not_a_missing_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    d: Dict = ObjectStoreDict(f"memory://{tmp_path.name}")
    d["large"] = secrets.token_bytes(3 << 20)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "swept"))
    with pytest.raises(BackendError, match="no temporary file"):
        d["large"]
    monkeypatch.undo()
    assert len(d["large"]) == 3 << 20


# --- Places -----------------------------------------------------------------------------------------


def test_the_same_items_are_found_by_the_dictionaries_made_for_a_place(
    d: Dict, s3_url: str, shared_bucket: str, ministack: Server, tmp_path: Path
) -> None:
    prefix = s3_url.removeprefix(f"s3://{shared_bucket}/")
    by_boto: BasicS3Dict[Any] = BasicS3Dict(
        shared_bucket, root_prefix=prefix, client=client_of(ministack.endpoint)
    )
    d["a"] = 1
    by_boto["x", "b"] = {"two": 2}
    assert dict(d.items()) == dict(by_boto.items()) == {("a",): 1, ("x", "b"): {"two": 2}}
    in_folder: Dict = ObjectStoreDict(f"file://{tmp_path}/x", "json")
    in_folder["a", "b"] = [1]
    assert in_folder.transform_item(("a", "b"), transformer=lambda it: [*it, 2]).new_value == [1, 2]
    assert dict(FileDirDict[Any](tmp_path / "x", "json").items()) == {("a", "b"): [1, 2]}
    assert in_folder.pop(("a", "b")) == [1, 2]


def test_a_subdict_has_an_address_of_its_own(d: Dict, s3_url: str, tmp_path: Path) -> None:
    places = {
        s3_url: d,
        f"file://{tmp_path}": ObjectStoreDict[Any](f"file://{tmp_path}", digest_len=0),
        "memory://": ObjectStoreDict[Any]("memory://"),
        "memory://name/": ObjectStoreDict[Any]("memory://name/"),
    }
    for url, whole in places.items():
        whole["x", "y", "a"] = 1
        part = whole.get_subdict(("x", "y"))
        params = part.get_params()
        assert params["url"] == joined(url, ("x", "y"))
        params["options"] = {**params["options"], **(options_for(""))} if whole is d else {}
        if whole is d:
            params["options"]["endpoint"] = whole.get_params()["options"]["endpoint"]
        assert type(part)(**params)["a"] == 1
        whole.clear()


def test_memory_of_a_name_is_shared_until_nobody_has_it() -> None:
    name = secrets.token_hex(8)
    one, other = ObjectStoreDict[int](f"memory://{name}"), ObjectStoreDict[int](f"memory://{name}/x")
    one["x", "a"] = 1
    assert dict(other.items()) == {("a",): 1}
    assert ObjectStoreDict[int](f"memory://{name}x").get("a") is None
    del one
    assert other["a"] == 1
    del other
    assert len(ObjectStoreDict[int](f"memory://{name}")) == 0


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("gs://bucket", "gs"),
        ("gs://bucket/a/b", "gs"),
        ("az://container/p", "az"),
        ("abfss://fs@account.dfs.core.windows.net/p", "az"),
        ("s3://bucket/", "s3"),
        ("file:///a/b", "file"),
        ("memory://", "memory"),
        ("memory:///a", "memory"),
    ],
)
def test_an_address_says_which_service(url: str, kind: str) -> None:
    assert kind_of(url) == kind


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a/b",
        "/a/b",
        "http://host/a",
        "ftp://host/a",
        "s3:///a",
        "gs://",
        "file://relative/path",
        "file:relative",
        "s3://key:secret@bucket/a",
        "az://container/a?sig=secret",
        "gs://bucket/a#secret",
    ],
)
def test_any_other_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="address") as caught:
        ObjectStoreDict(url)
    assert "secret" not in str(caught.value)


def test_a_folder_takes_no_options(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no options"):
        ObjectStoreDict(f"file://{tmp_path}", options={"mkdir": True})
    with pytest.raises(ValueError, match="DirectoryStore"):
        ObstoreStore(f"file://{tmp_path}")


def test_the_policies_are_those_of_every_dictionary() -> None:
    d = ObjectStoreDict[str]("memory://", "txt", True, 4, str)
    d["a"] = "one"
    with pytest.raises(MutationPolicyError):
        d["a"] = "two"
    params = d.get_params()
    assert (params["file_type"], params["immutable_items"], params["digest_len"]) == ("txt", True, 4)


# --- Handles ----------------------------------------------------------------------------------------

SECRETS = {
    "access_key_id": "THE-SECRET",
    "AWS_SECRET_ACCESS_KEY": "THE-SECRET",
    "token": "THE-SECRET",
    "azure_storage_account_key": "THE-SECRET",
    "sas_key": "THE-SECRET",
    "google_service_account_key": "THE-SECRET",
    "something_new": "THE-SECRET",
    "url_of_something": "http://user:THE-SECRET@127.0.0.1",
    "bucket": "b?sig=THE-SECRET",
}


def test_nothing_that_may_be_a_secret_is_pickled_or_shown() -> None:
    d: Dict = ObjectStoreDict(
        "s3://bucket/p",
        options={**SECRETS, "AWS_REGION": "here", "virtual_hosted_style_request": True},
        client_options={"default_headers": {"x": "THE-SECRET"}, "proxy_url": "THE-SECRET", "timeout": "9s"},
        credential_provider=lambda: {"access_key_id": "THE-SECRET"},
    )
    shown = [pickle.dumps(d), repr(d).encode(), repr(d.get_params()).encode(), repr(d.store).encode()]
    assert not [text for text in shown if b"THE-SECRET" in text]
    woken = pickle.loads(shown[0])
    assert woken.get_params() == d.get_params()
    assert woken.get_params()["options"] == {"AWS_REGION": "here", "virtual_hosted_style_request": True}
    assert woken.get_params()["client_options"] == {"timeout": "9s"}


@pytest.mark.parametrize("name", ["endpoint", "AWS_ENDPOINT_URL", "azure_endpoint"])
@pytest.mark.parametrize("url", ["http://user:THE-SECRET@127.0.0.1", "http://h/account?sig=THE-SECRET"])
def test_an_endpoint_with_a_secret_is_refused_without_showing_it(name: str, url: str) -> None:
    with pytest.raises(ValueError, match="credentials") as caught:
        ObjectStoreDict("s3://bucket/p", options={name: url})
    assert "THE-SECRET" not in str(caught.value)


def test_options_are_harmless_by_their_names_with_and_without_the_services() -> None:
    assert harmless({"azure_storage_account_name": "a", "ACCOUNT_NAME": "b", "account_key": "c"}) == {
        "azure_storage_account_name": "a",
        "ACCOUNT_NAME": "b",
    }
    assert harmless_to_clients({"allow_http": True, "default_headers": {}}) == {"allow_http": True}


def test_an_unpickled_dictionary_finds_credentials_in_its_environment(
    d: Dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    d["a"] = 1
    assert pickle.loads(pickle.dumps(d))["a"] == 1  # the tests' own are there
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    assert d["a"] == 1
    brief: Dict = ObjectStoreDict(**{**d.get_params(), "retry_for": 0.2})
    with pytest.raises(BackendError):
        pickle.loads(pickle.dumps(brief))["a"]


FORKING = """
import os, signal, sys
from perkey.dicts.object_store_dict import ObjectStoreDict
from perkey.errors import BackendError

url, endpoint = sys.argv[1:]
d = ObjectStoreDict(url, options={"endpoint": endpoint, "region": "us-east-1"})
memory = ObjectStoreDict("memory://m")

def in_child(act):
    child = os.fork()
    if not child:
        signal.alarm(60)  # what hangs is killed
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0

def use():
    d["child"] = 1
    memory["child"] = 1

def see_refused():
    memory["b"] = 2
    assert dict(memory.items()) == {("a",): 1, ("b",): 2}
    try:
        d["x"] = 1
    except BackendError as error:
        assert "forked" in str(error) and "spawn" in str(error), error
    else:
        raise AssertionError("not refused")

in_child(use)  # of nothing that was used here
memory["a"] = 1
d["a"] = 1
in_child(see_refused)
assert sorted(d) == [("a",), ("child",)]
assert len(memory) == 1
"""


def test_a_process_forked_after_use_is_told_so_instead_of_hanging(s3_url: str, ministack: Server) -> None:
    """One forked before works; memory is the child's own copy."""
    program = [sys.executable, "-W", "ignore", "-c", FORKING, s3_url, ministack.endpoint]
    done = subprocess.run(program, check=False, capture_output=True, text=True, timeout=250)
    assert (done.returncode, done.stderr) == (0, "")
