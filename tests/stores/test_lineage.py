"""Whether a write took place is told by marks: in random histories only documented answers are wrong."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from perkey.expectations import ABSENT, ANY, Expectation
from perkey.stores.objects.lineage import (
    CHAIN,
    Lineage,
    Lineages,
    Verdict,
    judge,
    lineage_of,
    new_mark,
    read_lineage,
    was_kept,
)

MOST_METADATA = 2048
"""Bytes that S3 allows for all metadata of an object, names included."""


class Item:
    """An item of a service that compares versions, as all its writers see it."""

    def __init__(self) -> None:
        self.metadata: str | None = None
        self.version: str | None = None
        self._written = 0

    def write(self, expect: Expectation, *, foreign: bool = False) -> Lineage:
        """Write with what a writer knows that has just read the item."""
        predecessor = None if self.version is None else read_lineage(self.metadata, self.version)
        lineage = lineage_of(self.new_mark(), expect, None if expect is ANY else predecessor)
        self.put(None if foreign else str(lineage))
        return lineage

    def put(self, metadata: str | None) -> None:
        self._written += 1
        self.metadata, self.version = metadata, f"v{self._written}"

    def new_mark(self) -> str:
        """Return a mark; no two begin with the same characters."""
        self._written += 1
        return f"{self._written:04x}{'0' * 12}"

    def remove(self) -> None:
        self.metadata = self.version = None

    @property
    def lineage(self) -> Lineage | None:
        return None if self.version is None else read_lineage(self.metadata, self.version)


@dataclass
class Rivals:
    """What other writers do, one letter an act: c(ompared write), a(ssignment), f(oreign one), r(emoval)."""

    item: Item
    cut: str = ""
    compared: int = 0

    def act(self, acts: str) -> None:
        for act in acts:
            if act == "r":
                self.item.remove()
            elif act == "c":
                self.item.write(ABSENT if self.item.version is None else self.item.version)
                self.compared += 1
            else:
                self.item.write(ANY, foreign=act == "f")
            if act in "raf":
                self.cut += act


acts = st.one_of(st.text("ccccarf", max_size=6), st.integers(0, 40).map(lambda count: "c" * count))


@given(before=acts, meanwhile=acts, after=acts, repeated=st.booleans(), suspected=st.booleans())
def test_a_repeated_write_is_judged_right_or_not_at_all(
    before: str, meanwhile: str, after: str, repeated: bool, suspected: bool
) -> None:
    item = Item()
    Rivals(item).act(before)
    expected, expect = item.lineage, ABSENT if item.version is None else item.version
    mine = lineage_of(item.new_mark(), expect, expected)
    Rivals(item).act(meanwhile)
    takes_place = (ABSENT if item.version is None else item.version) == expect
    if takes_place:
        item.put(str(mine))
    rivals = Rivals(item)
    rivals.act(after)
    if (ABSENT if item.version is None else item.version) == expect:
        return  # it is done by the second request, if not by the first
    verdict = judge(mine, expected, item.lineage, repeated=repeated, suspected=suspected)
    cut = set(meanwhile + after) & set("raf")
    if verdict is Verdict.DONE:
        assert takes_place
    elif verdict is Verdict.CONFLICT:
        # Documented: an assignment hides what it overwrites, and a removal unless repetitions are suspected.
        assert not takes_place or rivals.cut
    else:
        assert repeated or suspected or (takes_place and rivals.compared > CHAIN)
    if takes_place and not cut and rivals.compared <= CHAIN:
        assert verdict is Verdict.DONE
    if not takes_place and not cut:
        assert verdict is Verdict.CONFLICT
    if takes_place and "r" in rivals.cut and not set("af") & set(rivals.cut) and (repeated or suspected):
        assert verdict is not Verdict.CONFLICT or expected is None


@given(acts=acts, expected_acts=acts)
def test_an_item_that_was_removed_is_never_said_to_have_been_kept(acts: str, expected_acts: str) -> None:
    item = Item()
    Rivals(item).act(expected_acts)
    expected = item.lineage
    rivals = Rivals(item)
    rivals.act(acts)
    found = item.lineage
    if found is not None:
        assert was_kept(expected, found) == (expected is not None and not rivals.cut)


@given(st.integers(0, 300))
def test_metadata_is_read_as_it_was_written_and_fits(count: int) -> None:
    item = Item()
    Rivals(item).act("c" * (count + 1))
    lineage = item.lineage
    assert lineage is not None
    assert lineage.depth == count
    assert len(lineage.marks) == min(count, CHAIN) + 1
    assert read_lineage(str(lineage), "v") == lineage
    assert str(lineage).split() == str(lineage).split(" "), "spaces at the ends get lost on the way"
    assert len(str(lineage)) < MOST_METADATA - 200


@given(st.text())
def test_any_metadata_of_another_program_has_a_meaning(text: str) -> None:
    found = read_lineage(text, "version")
    assert found.marks
    mine = Lineage(("mine",), found.began, "mine")
    verdict = judge(mine, None, found, repeated=False, suspected=False)
    assert verdict is (Verdict.DONE if "mine" in found.marks else Verdict.CONFLICT)


def test_a_slow_writer_among_many_rivals_meets_a_conflict_and_no_doubt() -> None:
    item = Item()
    item.write(ABSENT)
    expected = item.lineage
    mine = lineage_of(item.new_mark(), str(item.version), expected)
    Rivals(item).act("c" * 120)
    assert judge(mine, expected, item.lineage, repeated=True, suspected=True) is Verdict.CONFLICT
    Rivals(item).act("c" * 20)
    assert judge(mine, expected, item.lineage, repeated=False, suspected=False) is Verdict.CONFLICT
    assert judge(mine, expected, item.lineage, repeated=True, suspected=False) is Verdict.UNKNOWN


def test_a_slow_writer_is_hardly_ever_in_doubt_because_its_mark_begins_like_that_of_a_rival() -> None:
    """An abbreviated mark of too few bits left one of forty slow writers with an unknown outcome."""
    expected = found = lineage_of(new_mark(), ABSENT, None)
    for _ in range(100):
        found = lineage_of(new_mark(), "version", found)
    slow = [lineage_of(new_mark(), "version", expected) for _ in range(1000)]
    verdicts = [judge(mine, expected, found, repeated=False, suspected=False) for mine in slow]
    assert verdicts.count(Verdict.CONFLICT) >= 999


def test_lineages_of_many_versions_take_bounded_memory() -> None:
    lineages = Lineages()
    for number in range(40_000):
        lineages.remember("key", str(number), f"mark{number}")
    assert len(lineages._known) <= 1 << 14
    assert lineages.of("key", "39999") == read_lineage("mark39999", "39999")
    assert lineages.of("key", "0") is None
