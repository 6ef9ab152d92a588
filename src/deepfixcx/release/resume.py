"""What of the work of earlier runs still stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from deepfixcx.errors import ReleaseError
from deepfixcx.release.claim import Claim
from deepfixcx.release.content import content_of, stamp_of
from deepfixcx.release.ledger import Ledger
from deepfixcx.release.plan import Plan

__all__ = ["check_identity", "deaths_before", "standing_shards"]


def check_identity(ledger: Ledger, plan: Plan, key: str = "") -> None:
    """Begin a new ledger, or see that an old one is of the same inputs and options."""
    before, now = ledger.identity(), plan.identity() | {"key": key}
    if not before:
        ledger.begin(now, list(map(plan.files_of, range(plan.shards))))
        return
    if differing := [name for name, value in now.items() if before.get(name) != value]:
        raise ReleaseError(
            f"this release was begun with other {' and '.join(differing)}; --resume goes on only "
            f"with the same inputs and options, --overwrite starts again"
        )


def standing_shards(plan: Plan, claim: Claim, ledger: Ledger) -> set[int]:
    """Return the shards that need not be worked again."""
    standing = set()
    size_of = claim.place.sizes()
    for number in sorted(ledger.complete_shards()):
        if _is_there(number, size_of, ledger) and _same_sources(number, plan, ledger):
            standing.add(number)
        elif plan.options.noise is not None:
            raise ReleaseError(
                "images changed, or codes with noise are gone, since noise was drawn; drawing it "
                "again for images that were shared costs epsilon again: put the files back, or "
                "accept that with --overwrite"
            )
        else:
            for listed in ledger.listed(number):
                if left := claim.place.remove(listed):
                    raise ReleaseError(
                        f"{left[0]!r} in {str(claim.place)!r} has to be made again, and was "
                        f"changed since deepfixcx made it; move it away, then run the same "
                        f"command again"
                    )
            ledger.reopen(number)
    return standing


def deaths_before(plan: Plan, ledger: Ledger) -> dict[str, int]:
    """Return how many workers each file has killed in earlier runs."""
    deaths = ledger.deaths()
    for item in plan.items if deaths else ():
        stamp, _ = deaths.get(item.source_id, ("", 0))
        if item.source_id in deaths and stamp_of(item.source.path) != stamp:
            ledger.forgive(item.source_id)
            del deaths[item.source_id]
    return {name: count for name, (_, count) in deaths.items()}


def _is_there(shard: int, size_of: Callable[[str], int | None], ledger: Ledger) -> bool:
    return all(
        size_of(name) is not None for record in ledger.records(shard) for name in record.files()
    )


def _same_sources(shard: int, plan: Plan, ledger: Ledger) -> bool:
    restamped = []
    for item, seen in zip(plan.shard(shard), ledger.sources(shard), strict=True):
        stamp = stamp_of(item.source.path)
        if stamp and stamp == seen.stamp:
            continue
        # A file that could not be read then is tried again, one that cannot be read now is not:
        # what was made of it is still good.
        content = content_of(item.source.path)
        if not content:
            continue
        if content != seen.content:
            return False
        restamped.append(replace(seen, stamp=stamp))
    if restamped:
        ledger.restamp(shard, restamped)
    return True
