"""Dictionaries on Azure's storage, over Azurite: contracts, conditions in a race, large values, errors."""

import pickle
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from contracts.dicts import AddOnlySmoke, PolicySmoke

from perkey.dicts.object_store_dict import ObjectStoreDict
from perkey.errors import AccessDeniedError, BackendError, UnsupportedConditionError
from perkey.jokers import ITEM_NOT_AVAILABLE
from perkey.mapping.persi_dict import PersiDict
from perkey.stores import Store
from perkey.stores.objects.obstore_url import ObstoreStore
from s3 import azurite
from s3.test_object_store_dict import UncomparedRemovals

Dict = ObjectStoreDict[Any]

pytestmark = pytest.mark.usefixtures("quick_pauses")


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment, because none travels with a handle."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azurite.KEY)


@pytest.fixture(scope="module")
def container() -> str:
    """A container for the whole module."""
    return azurite.new_container()


@pytest.fixture
def url(container: str) -> str:
    """The address of a new prefix."""
    return f"az://{container}/{secrets.token_hex(8)}/pre/fix"


@pytest.fixture
def d(url: str) -> Dict:
    return ObjectStoreDict(url, options=azurite.options())


class TestStore(UncomparedRemovals):
    empty_places_take_long = True
    rounds = 2
    threads = 3

    @pytest.fixture(autouse=True)
    def _place(self, url: str) -> None:
        self.url = url

    def make_store(self) -> Store:
        return ObstoreStore(self.url, options=azurite.options())


class TestDict(AddOnlySmoke, PolicySmoke):
    time_resolution = 1.05  # listings have whole seconds

    @pytest.fixture(autouse=True)
    def _place(self, container: str) -> None:
        self.container = container

    def make_dict(self, **params: Any) -> PersiDict[Any]:
        url = f"az://{self.container}/{secrets.token_hex(8)}"
        return ObjectStoreDict(url, options=azurite.options(), **params)


def plus_one(value: Any) -> Any:
    return 1 if value is ITEM_NOT_AVAILABLE else value + 1


def test_no_increment_of_many_threads_is_lost_and_one_insertion_wins(d: Dict) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(80):
            pool.submit(d.transform_item, "n", transformer=plus_one, n_retries=None)
    assert d["n"] == 80
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda number: d.setdefault("first", number), range(8)))) == 1


@pytest.mark.parametrize("size", [1 << 20, 9 << 20, 17 << 20])
def test_large_values_are_the_same_when_they_are_read(size: int, d: Dict) -> None:
    """Above the limit they go up in blocks, and at once if they go under a condition."""
    assert isinstance(d.store, ObstoreStore)
    d.store.engine.multipart_above = 4 << 20
    values = [secrets.token_bytes(size) for _ in range(3)]
    d["a"] = values[0]
    assert d["a"] == values[0]
    assert d.setdefault_if("b", default_value=values[1]).condition_was_satisfied
    assert not d.setdefault_if("b", default_value=values[2]).condition_was_satisfied
    assert d["b"] == values[1]
    assert d.transform_item("b", transformer=lambda _: values[2]).new_value == values[2]
    assert d["b"] == values[2]


def test_removals_on_a_condition_are_refused(d: Dict) -> None:
    d["a"] = 1
    with pytest.raises(UnsupportedConditionError):
        d.pop("a")
    assert d["a"] == 1


def test_a_wrong_key_is_a_refusal_and_not_absence(url: str) -> None:
    d: Dict = ObjectStoreDict(url, options=azurite.options("bm90IHRoZSBrZXk="))
    for act in (lambda: d["a"], lambda: "a" in d, lambda: d.__setitem__("a", 1), lambda: len(d)):
        with pytest.raises(AccessDeniedError, match=url) as caught:
            act()
        assert "bm90IHRoZSBrZXk=" not in str(caught.value)


def test_a_key_that_is_rotated_in_the_environment_is_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    about = keyless()
    d: Dict = ObjectStoreDict(url, options=about)
    d["a"] = 1
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "bm90IHRoZSBrZXk=")
    stale: Dict = ObjectStoreDict(url, options=about)
    with pytest.raises(AccessDeniedError):
        stale["a"]
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", azurite.KEY)
    assert stale["a"] == 1
    assert "a" in stale


def test_without_any_credentials_the_error_says_so_at_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    d: Dict = ObjectStoreDict(url, options=keyless(), client_options={"connect_timeout": "200ms"})
    with pytest.raises(AccessDeniedError, match="no credentials were found"):
        d["a"]


def keyless() -> dict[str, Any]:
    return {name: value for name, value in azurite.options().items() if name != "account_key"}


def test_public_data_is_read_without_credentials_in_other_processes_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = f"az://{azurite.new_container(public=True)}/p"
    ObjectStoreDict[int](url, options=azurite.options())["a"] = 1
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    d: Dict = ObjectStoreDict(url, options={**keyless(), "skip_signature": True})
    for handle in (d, pickle.loads(pickle.dumps(d)), ObjectStoreDict[Any](**d.get_params())):
        assert dict(handle.items()) == {("a",): 1}
        with pytest.raises(AccessDeniedError):
            handle["b"] = 1


def test_a_missing_container_is_empty_and_has_to_be_made_first() -> None:
    d: Dict = ObjectStoreDict("az://nosuchcontainer/p", options=azurite.options())
    assert d.get("a") is None
    assert len(d) == 0
    with pytest.raises(BackendError, match="the bucket or container does not exist"):
        d["a"] = 1


def test_what_obstore_cannot_sweep_is_not_said_to_be_swept(d: Dict) -> None:
    with pytest.raises(BackendError, match="obstore has no such request"):
        d.store.sweep()
