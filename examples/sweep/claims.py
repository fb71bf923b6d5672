"""Who does what: each worker takes its next task from the dictionary itself, nobody has a fixed share."""

from __future__ import annotations

from perkey import ETAG_IS_THE_SAME, ITEM_NOT_AVAILABLE, NonEmptyPersiDictKey, PersiDict
from sweep.owners import Liveness, Owner
from sweep.study import Record


class Claims:
    """The claims of all workers, and the right of one of them to make more.

    A claim is an item that says who works on a task. It is never removed: a task whose result is there is
    done, and a claim whose owner has died is taken over.

    Args:
        claims: Where the claims are.
        liveness: Says who is dead.
        me: Who claims.
        run: The run that takeovers are counted for.
    """

    def __init__(self, claims: PersiDict[Record], liveness: Liveness, me: Owner, run: str) -> None:
        self._claims = claims
        self._liveness = liveness
        self._me = me
        self._run = run

    def take(self, task: NonEmptyPersiDictKey) -> bool:
        """Try to get a task, and tell whether it is ours now; of any number that try, one gets it."""
        mine = {"owner": self._me.record(), "takeovers": []}
        found = self._claims.setdefault_if(
            task, default_value=mine, condition=ETAG_IS_THE_SAME, expected_etag=ITEM_NOT_AVAILABLE
        )
        if found.condition_was_satisfied:
            return True
        claim = found.new_value  # another's, because ours was not inserted
        if not isinstance(claim, dict) or not self._liveness.is_dead(Owner(**claim["owner"])):
            return False
        ours = {**mine, "takeovers": [*claim["takeovers"], self._run]}
        # Others may have found out at the same time that the owner is dead. The claim that we have seen is
        # replaced only if it is still the same, so that one of us succeeds and the others get False.
        return self._claims.set_item_if(
            task, value=ours, condition=ETAG_IS_THE_SAME, expected_etag=found.actual_etag
        ).condition_was_satisfied
