"""Clauses about listings: everything below a prefix exactly once, and nothing else."""

from __future__ import annotations

from perkey.naming import Name, naming
from perkey.stores import Store
from perkey.testing.stores.suite import BYSTANDERS, NESTED, A, B, StoreSuite

_MANY = 120


class ListingClauses(StoreSuite):
    """`scan`, `scan_stats` and `folders`."""

    def test_a_place_without_items_lists_none(self, store: Store) -> None:
        assert self.names(store) == []
        assert self.folders(store) == []
        assert [name for name, _ in store.scan_stats() if name not in BYSTANDERS] == []

    def test_each_of_many_items_is_listed_exactly_once_under_its_name(self, store: Store) -> None:
        names = [_scattered(number) for number in range(_MANY)]
        for name in names:
            store.write(name, b"x")
        assert self.names(store) == sorted(names)
        assert all(type(name) is tuple for name in store.scan())

    def test_a_prefix_selects_by_whole_parts(self, store: Store) -> None:
        names: list[Name] = [("x", "a.pkl"), ("x", "y", "a.pkl"), ("xx", "a.pkl"), ("y", "x", "a.pkl")]
        for name in names:
            store.write(name, b"x")
        assert self.names(store, ("x",)) == [("x", "a.pkl"), ("x", "y", "a.pkl")]
        assert self.names(store, ("x", "y")) == [("x", "y", "a.pkl")]
        assert self.names(store, ("y",)) == [("y", "x", "a.pkl")]

    def test_below_a_prefix_that_nothing_has_there_is_nothing(self, store: Store) -> None:
        store.write(NESTED, b"x")
        for prefix in (("absent",), ("x", "absent"), ("x", "y", "z"), NESTED, (*NESTED, "deeper")):
            assert list(store.scan(prefix)) == []
            assert list(store.scan_stats(prefix)) == []
            assert list(store.scan_mtimes(prefix)) == []
            assert list(store.folders(prefix)) == []

    def test_stats_are_listed_for_the_same_items_and_agree_with_stat(self, store: Store) -> None:
        for size, name in enumerate([A, B, NESTED, ("x", "b.pkl")]):
            store.write(name, b"x" * size)
        for prefix in ((), ("x",), ("x", "y")):
            listed = sorted(store.scan_stats(prefix))
            assert [name for name, _ in listed] == sorted(store.scan(prefix))
            assert all(store.stat(name) == stat for name, stat in listed)
            times = sorted(store.scan_mtimes(prefix))
            assert times == [(name, stat.mtime) for name, stat in listed]
            assert times == [(name, store.mtime(name)) for name, _ in times]

    def test_items_of_a_shape_are_counted_as_they_are_listed(self, store: Store) -> None:
        for digest_len in (0, 8):
            names = naming(digest_len, "pkl")
            for key in ("a", "b.pkl", ("x", "a"), ("x", "y", "a"), ("x", "b"), ".-", ("~", "pkl")):
                store.write(names.name_of(key), b"x")
        # What has the shape of no key, or a folder above which a folder is missing, is not counted.
        for name in (
            ("other.json",),
            ("w.pkl", "a.pkl"),
            ("no-digest", "a.pkl"),
            ("pkl",),
            ("a_aaaaaaa.pkl",),
        ):
            store.write(name, b"x")
        for shape in (naming(digest_len, "pkl").shape for digest_len in (0, 1, 8, 26)):
            for prefix in ((), ("x",), naming(8, "pkl").prefix_of("x"), ("absent",)):
                listed = [name for name in store.scan(prefix) if shape.fits(name[len(prefix) :])]
                assert store.count(shape, prefix) == len(listed)

    def test_the_beginning_of_a_listing_has_the_first_items_of_a_shape(self, store: Store) -> None:
        names = naming(8, "pkl")
        for number, key in enumerate(("a", "b", ("x", "a"), ("x", "b"), ("x", "y", "c"))):
            store.write(names.name_of(key), b"x" * number)
        store.write(("other.json",), b"x")
        for prefix in ((), names.prefix_of("x"), names.prefix_of(("x", "y")), ("absent",)):
            cut = len(prefix)
            listed = {name for name in store.scan(prefix) if names.shape.fits(name[cut:])}
            whole = store.glimpse(names.shape, 100, prefix)
            assert {name for name, _ in whole.items} == listed
            assert (len(whole.items), whole.found, whole.complete) == (len(listed), len(listed), True)
            for name, stat in whole.items:
                known = store.stat(name)
                assert stat.size == known.size
                assert abs(stat.mtime - known.mtime) < 1  # HTTP gives dates in whole seconds
            part = store.glimpse(names.shape, 1, prefix)
            assert len(part.items) == min(1, len(listed))
            assert set(part.items) <= set(whole.items)
            assert (part.found, part.complete) == (len(listed), True)

    def test_folders_are_the_next_parts_of_deeper_names_once_each(self, store: Store) -> None:
        for name in (A, ("x", "a.pkl"), ("x", "b.pkl"), ("x", "y", "a.pkl"), ("z", "w", "v", "a.pkl")):
            store.write(name, b"x")
        assert self.folders(store) == ["x", "z"]
        assert self.folders(store, ("x",)) == ["y"]
        assert self.folders(store, ("z",)) == ["w"]
        assert self.folders(store, ("z", "w", "v")) == []

    def test_a_folder_goes_with_its_last_item(self, store: Store) -> None:
        store.write(("x", "a.pkl"), b"x")
        store.write(NESTED, b"x")
        store.remove(NESTED)
        assert self.folders(store) == ["x"]
        assert self.folders(store, ("x",)) == []
        store.remove(("x", "a.pkl"))
        assert self.folders(store) == []
        store.write(NESTED, b"again")
        assert self.folders(store) == ["x"]

    def test_items_that_stay_are_listed_once_while_others_come_and_go(self, store: Store) -> None:
        staying: list[Name] = [(f"stay{number}.pkl",) for number in range(20)] + [("s", "t", "stay.pkl")]
        going: list[Name] = [(f"go{number}.pkl",) for number in range(20)] + [("g", "go.pkl")]
        for pair in zip(going, staying, strict=True):
            for name in pair:
                store.write(name, b"x")
        for listing in (store.scan(), (name for name, _ in store.scan_stats())):
            seen = [next(listing), next(listing)]
            for number, name in enumerate(going):
                store.remove(name)
                store.write((f"come{number}.pkl",), b"x")
                store.write(staying[0], b"touched %d" % number)
            seen.extend(listing)
            assert sorted(name for name in seen if name in staying[1:]) == sorted(staying[1:])
            assert len(seen) == len(set(seen))
            for name in going:
                store.write(name, b"x")

    def test_items_removed_while_they_are_listed_are_no_error(self, store: Store) -> None:
        names: list[Name] = [("x", f"{number}.pkl") for number in range(5)]
        names += [(f"{number}.pkl",) for number in range(20)]
        for listing in (store.scan, store.scan_stats, store.folders):
            for name in names:
                store.write(name, b"x")
            begun = iter(listing())
            next(begun)
            for name in names:
                store.remove(name)
            list(begun)
            assert self.names(store) == []

    def test_an_abandoned_listing_disturbs_nobody(self, store: Store) -> None:
        for number in range(5):
            store.write(("x", f"{number}.pkl"), b"x")
        for listing in (store.scan(), store.scan_stats(), store.folders()):
            next(iter(listing))
            del listing
        store.remove(("x", "0.pkl"))
        store.write(("x", "1.pkl"), b"y")
        assert len(self.names(store)) == 4

    def test_two_listings_at_once_are_independent(self, store: Store) -> None:
        for number in range(5):
            store.write((f"{number}.pkl",), b"x")
        pairs = [(one, two) for one in store.scan() for two in store.scan()]
        assert len(set(pairs)) == len(pairs) == len(list(store.scan())) ** 2


def _scattered(number: int) -> Name:
    leaf = f"{number}.pkl"
    return [(leaf,), ("x", leaf), ("x", f"f{number % 5}", leaf), (f"g{number % 3}", leaf)][number % 4]
