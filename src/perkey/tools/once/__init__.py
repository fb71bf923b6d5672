"""Compute once: claims, and what stands on them."""

from perkey.tools.once.claims import Claim, ClaimInfo, break_claim, claim, claims, remove_stale
from perkey.tools.once.compute import compute_once
from perkey.tools.once.holders import Holder
from perkey.tools.once.memoizing import Memoized, memoize
from perkey.tools.once.records import Failure
from perkey.tools.once.running import Report, run_all

__all__ = [
    "Claim",
    "ClaimInfo",
    "Failure",
    "Holder",
    "Memoized",
    "Report",
    "break_claim",
    "claim",
    "claims",
    "compute_once",
    "memoize",
    "remove_stale",
    "run_all",
]
