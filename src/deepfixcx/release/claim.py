"""Both folders of a release in one hand: locked, and cleaned of what earlier runs left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from deepfixcx._words import counted
from deepfixcx.errors import InUseError, OverwriteError, ReleaseError
from deepfixcx.io import folders
from deepfixcx.io.files import (
    remove_folder,
    remove_listed,
    remove_temporaries,
    set_aside,
    sha256_of,
    tagged,
)
from deepfixcx.io.folders import MARKER, FileLedger, OwnFolder, id_of, noted
from deepfixcx.io.release_files import ABOUT
from deepfixcx.release.folders import (
    HOME,
    METADATA,
    PLAIN_FOLDERS,
    TABLES,
    home_line,
    in_use,
    listed_files,
    refuse,
    stated_metadata,
)
from deepfixcx.release.ledger import LEDGER, Ledger, is_ledger
from deepfixcx.release.places import LocalPlace, Place
from deepfixcx.release.plan import Plan
from deepfixcx.release.storage import content_of, journal_name, stamp_of

__all__ = ["Claim", "Standing", "check_identity", "claimed", "deaths_before", "standing_shards"]


@dataclass(frozen=True, slots=True)
class Claim:
    """The two folders of a release, both locked."""

    place: Place
    private: OwnFolder
    metadata: FileLedger
    kept: list[str] = field(default_factory=list)

    @property
    def ledger_path(self) -> Path:
        """Where the ledger of the results lies."""
        return self.private.folder / LEDGER

    def withdraw(self, *names: str) -> None:
        """Remove metadata files, all of them by default, so that the release is unfinished."""
        listed = self.metadata.listed
        chosen = names or (ABOUT, *(name for name in listed if name != ABOUT))
        left = self.place.remove({name: listed.get(name, ()) for name in chosen})
        if left:
            raise ReleaseError(
                f"{left[0]!r} in {str(self.place)!r} was not written by deepfixcx; move it, then "
                "run the same command again"
            )

    def settle(self, shard: int) -> None:
        """Remove the journal of a shard that is in the ledger."""
        self.place.settle(journal_name(self.place.tag, shard))

    def check_free(self, names: Callable[[str], bool]) -> None:
        """Refuse the release if a file that is kept has a name that the release needs."""
        if taken := next(filter(names, self.kept), ""):
            raise ReleaseError(
                f"{taken!r} in {str(self.place)!r} was not made by this release, or was changed "
                "since, and the release needs this name; move it, then run the same command "
                "again"
            )


@contextmanager
def claimed(
    place: Place, private: Path, *, resume: bool, overwrite: bool, protected: bool = False
) -> Iterator[Claim]:
    """Lock both folders of a release, and remove from them what must not stay of earlier runs."""
    ways = {"resume": resume, "overwrite": overwrite, "protected": protected}
    with ExitStack() as stack:
        try:
            near = place.folder if isinstance(place, LocalPlace) else private
            if folders.in_use(near / MARKER) or in_use(private):
                raise InUseError(
                    f"another process is writing to {str(place)!r}; wait for it or stop it"
                )
            refuse(place, private, **ways)
            at = str(private)
            own = stack.enter_context(OwnFolder(private, private=True))
            tag = sha256(f"deepfixcx temporary files {own.id}".encode()).hexdigest()[:16]
            at = str(place)
            place = place.tagged(tag)
            stack.enter_context(tagged(tag))
            try:
                stack.enter_context(place.held(own.id, lambda: refuse(place, private, **ways)))
            except BaseException:
                own.withdraw()
                raise
            if (home := home_line(place, private)) != noted(private, HOME):
                own.note(**{HOME: home})
            claim = _clean(place, own, overwrite=overwrite, resume=resume)
        except (InUseError, OverwriteError) as error:
            raise ReleaseError(str(error)) from None
        except OSError as error:
            raise ReleaseError(
                f"{at!r} cannot be written: {error.strerror}; choose another folder"
            ) from None
        yield claim


def _clean(place: Place, own: OwnFolder, *, overwrite: bool, resume: bool) -> Claim:
    """Remove what a ledger lists and this run must not find, and list what else is there."""
    private = own.folder
    remove_temporaries(private, place.tag)
    metadata = FileLedger(private / METADATA, mode=0o600)
    if own.is_marked:  # of version 0.1
        own.adopt(private, TABLES)
    if place.state() == "free":
        place.remove_unfinished()
        if not resume:
            _forget(own, metadata)
        return Claim(place, own, metadata)
    if resume and not metadata.listed:
        for name, digests in stated_metadata(place).items():
            metadata.add(name, 0, next(iter(digests)))
    with ExitStack() as stack:
        ledger = None
        if resume and is_ledger(private / LEDGER):
            ledger = stack.enter_context(Ledger(private / LEDGER))

        def known(name: str) -> bool:
            return name in metadata.listed or (ledger is not None and ledger.names(name))

        for journal, made in list(place.journals()):
            place.remove({name: made[name] for name in made if not (resume and known(name))})
            place.settle(journal)
        place.remove_unfinished()
        if overwrite:
            lists = [next(listed := listed_files(place, private)), *_unless_ledger(private, listed)]
            place.remove({ABOUT: lists[0].get(ABOUT, set())})  # first: it is unfinished now
            for each in (*lists, *listed):
                place.remove(each)
        kept = sorted(
            name for name in place.names() if name != MARKER and not (resume and known(name))
        )
    if not resume:  # last: without a ledger, results would stay for ever
        _forget(own, metadata)
    return Claim(place.guarding(frozenset(kept)), own, metadata, kept)


def _unless_ledger(
    private: Path, listed: Iterator[dict[str, set[str]]]
) -> list[dict[str, set[str]]]:
    """Read now what is listed in the release itself, before any of it is removed."""
    return [] if is_ledger(private / LEDGER) else list(listed)


def _forget(own: OwnFolder, metadata: FileLedger) -> None:
    """Remove the ledgers of a release, and what a mechanism was applied to."""
    private = own.folder
    for room, beside in zip(PLAIN_FOLDERS[::2], PLAIN_FOLDERS[1::2], strict=True):
        if id_of(private / beside) or is_ledger(private / beside / LEDGER):
            _remove_release(LocalPlace(private / room), private / beside)
    own.remove(private)
    metadata.discard()
    _remove_ledger(private)


def _remove_ledger(private: Path) -> None:
    """Remove the ledger of the results; what cannot be read as one gets another name."""
    path = private / LEDGER
    if is_ledger(path):
        with suppress(ReleaseError), Ledger(path):
            pass  # takes back what a process that was killed had begun
        remove_listed(private, {LEDGER: {sha256_of(path)}})
    elif path.exists():
        set_aside(path)


def _remove_release(place: LocalPlace, private: Path) -> None:
    """Remove a release in the private folder, with its own private folder."""
    with claimed(place, private, resume=False, overwrite=True):
        pass  # the results and metadata are gone
    with OwnFolder(private, private=True) as own:
        own.discard()
    remove_folder(private)
    remove_folder(place.folder)


def check_identity(ledger: Ledger, plan: Plan, key: str = "", patient: str = "") -> None:
    """Begin a new ledger, or see that an old one is of the same inputs and options."""
    before, now = ledger.identity(), plan.identity() | {"key": key, "patient": patient}
    if before and "order" not in before:  # of version 0.1, where the inputs are names and sizes
        now["inputs"] = now.pop("order")
    if not before:
        ledger.begin(now, list(map(plan.files_of, plan.numbers)))
        return
    if plan.after.shards:
        now = {name: value for name, value in now.items() if name not in ("inputs", "order")}
    before.setdefault("patient", "")  # the column of patients of DICOM files, since version 0.2
    if differing := [name for name, value in now.items() if before.get(name) != value]:
        raise ReleaseError(
            f"this release was started with other {' and '.join(differing)}; --resume requires "
            "the same inputs and options; --overwrite starts again"
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """What stays of earlier runs: shards, and the IDs of inputs that changed or are gone."""

    shards: set[int]
    changed: list[str]
    gone: list[str]


def standing_shards(plan: Plan, claim: Claim, ledger: Ledger) -> Standing:
    """Return the shards that need not be processed again; make the others ready to be."""
    found, again = Standing(set(), [], []), list[int]()
    size_of = claim.place.sizes()
    for number in sorted(ledger.complete_shards() & set(plan.numbers)):
        changed, gone = _changed_sources(number, plan, ledger)
        if changed or not _is_there(number, size_of, ledger):
            again.append(number)
            _refuse_again(plan, gone if claim.place.has(ABOUT) else [])
        else:
            found.shards.add(number)
            found.gone.extend(gone)
        found.changed.extend(changed)
    for number in again:
        for listed in ledger.listed(number):
            if left := claim.place.remove(listed):
                raise ReleaseError(
                    f"{left[0]!r} in {str(claim.place)!r} must be made again, but was "
                    "changed since deepfixcx made it; move it, then run the same command "
                    "again"
                )
        ledger.reopen(number)
    return found


def _refuse_again(plan: Plan, gone: list[str]) -> None:
    """Refuse to process a shard again from which results would be lost, or epsilon spent again."""
    if plan.options.noise is not None:
        raise ReleaseError(
            "images changed or codes with noise were deleted after the noise was drawn; new "
            "noise for images that were shared costs epsilon again: restore the files, or "
            "accept the cost with --overwrite"
        )
    if gone:
        more = f" and {counted(len(gone) - 1, 'other')}" if len(gone) > 1 else ""
        name = f"the source of {gone[0]}{more}" if plan.options.names == "neutral" else "a source"
        raise ReleaseError(
            f"{name} cannot be read any more, and an input that is stored with it changed or lost "
            "its result; restore the source, or remove its image with deepfixcx withdraw"
        )


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


def _changed_sources(shard: int, plan: Plan, ledger: Ledger) -> tuple[list[str], list[str]]:
    """Return the IDs of inputs of a shard that hold other bytes than before, and of those gone."""
    restamped, changed, gone = [], [], []
    for item, seen in zip(plan.shard(shard), ledger.sources(shard), strict=True):
        stamp = stamp_of(item.source.path)
        if stamp and stamp == seen.stamp:
            continue
        # A file that could not be read then is tried again, one that cannot be read now is not:
        # what was made of it is still good.
        content = content_of(item.source.path)
        if not content:
            gone += [item.source_id] if seen.content else []
        elif content != seen.content:
            changed.append(item.source_id)
        else:
            restamped.append(replace(seen, stamp=stamp))
    if restamped:
        ledger.restamp(shard, restamped)
    return changed, gone
