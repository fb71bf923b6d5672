"""A process that renews the claim of its parent, for code that holds the interpreter's lock for long.

It ends when its input ends, when its parent is gone, or when the claim is lost. While its parent is stopped
it does not renew: the claim of a stopped process is to be taken over.
"""

from __future__ import annotations

import os
import pickle
import select
import sys

from perkey.answers import answer
from perkey.tools.once.claims import renewal_period
from perkey.tools.once.holders import CLOCK, is_stopped
from perkey.tools.once.leases import Lease, log


def main() -> None:
    """Read the claim from the input, and renew it."""
    source = sys.stdin.buffer
    spot, record, version, parent = pickle.loads(source.read(int.from_bytes(source.read(8), "big")))
    lease = Lease(spot, record, version, CLOCK.running() + record.lease, CLOCK)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    period = renewal_period(record.lease)
    while not select.select([source], [], [], period)[0]:
        if os.getppid() != parent:
            break
        if is_stopped(parent):
            continue
        try:
            if not lease.renew():
                break
        except answer(Exception) as error:
            log("claim on %s could not be renewed, this is tried again: %s", spot.key, error)


if __name__ == "__main__":
    main()
