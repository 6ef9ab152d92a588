"""Sections about the release itself: what it holds, what was done to each image, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from deepfixcx._words import byte_size, counted, joined, percent
from deepfixcx.errors import DeepfixcxError, ExplanationError, ImageTooSmallError
from deepfixcx.explain.removal import statements
from deepfixcx.release.duplicates import Duplicates, near_duplicates
from deepfixcx.release.places import LocalPlace
from deepfixcx.report.html import data_url, for_screen, items, paragraph, part, section, table
from deepfixcx.report.html_originals import NotRead, Originals
from deepfixcx.report.html_release import ReleaseFacts, Shared, detail_left, readable, spread_out
from deepfixcx.report.words import Kept

__all__ = ["Worst", "contents", "examples", "failures", "transform", "worst_images", "worst_of"]

EXAMPLES, WORST = 12, 10
MOST_LOOKED_AT = 1000
"""So many images are opened to find the worst; of a larger release, evenly chosen ones."""
SIDE = 256
"""Pixels a side at which pictures are shown."""
MOST_REASONS = 20


@dataclass(frozen=True, slots=True)
class Worst:
    """Images that keep the most content."""

    images: tuple[tuple[Shared, float], ...]
    alike: bool
    looked_at: int


def contents(facts: ReleaseFacts) -> Markup:
    """Say what is in the release, before and after."""
    totals = facts.totals
    kept, values = totals["kept_values"], totals["source_values"]
    files = totals["image_file_bytes"] + totals["code_file_bytes"]
    files += totals.get("dicom_file_bytes", 0)
    rows = [
        [f"{facts.noun.capitalize()}s", "", f"{len(facts.images):,} in the manifest"],
        ["Values", f"{values:,}", f"{kept:,} kept ({percent(kept, values)} of all)"],
        ["In memory", byte_size(totals["source_bytes"]), byte_size(totals["kept_bytes"])],
    ]
    if facts.records is None:  # metadata of records states no files: a size could identify one
        rows.append(["On disk", byte_size(totals["source_file_bytes"]), byte_size(files)])
        done = f"{totals['files_done']:,} done, {totals['files_failed']:,} failed"
        rows.insert(0, ["Files", f"{totals['files']:,}", done])
    else:  # one share everywhere: that of one record in one image
        one = facts.kept()
        if facts.states_sizes:
            rows[1][1] += f" ({one.of:,} an image)"
            rows[1][2] = f"{kept:,} ({one.numbers:,} a record, {one.percent} of an image)"
        else:
            rows[1][1:] = ["not stated", f"{kept:,} ({one.numbers:,} a record)"]
            rows[2][1] = "not stated"
    became = (
        ""
        if facts.vectors
        else f" An image became {facts.spec.bands} bands, each for one size and direction of "
        f"edges, and every band {_grid(facts)} values."
    )
    return section(
        "contents",
        "What is in the release",
        paragraph(f"It holds {_holds(facts)}.{became}"),
        table(["", "before", "after"], rows),
        *_duplicate_words(facts),
        *_record_words(facts),
    )


def _holds(facts: ReleaseFacts) -> str:
    if facts.records is not None:
        images = int(facts.records.get("images") or 0)
        behind = counted(images, "image")
        labels = ", ".join(map(str, facts.about["options"].get("labels") or [])) or "none"
        records = counted(len(facts.images), "record")
        several = len(facts.images) / images if images else 0
        each = f" ({several:.3g} records for each image)" if several >= 1.5 else ""
        return f"{records}, made from codes of {behind}{each}, with their labels ({labels})"
    holds = {"image": "privatized images", "code": "codes"}
    held = [words for kind, words in holds.items() if facts.holds(kind)]
    if facts.holds("dicom"):
        frames = counted(len(facts.images), "frame")
        files = counted(len({each.dicom_file for each in facts.images}), "derived DICOM file")
        held.append(f"{frames} in {files}")
    held = held or ["no images that this version knows"]
    return joined(held) + ("" if facts.holds("code") else ", and no codes" * facts.holds("dicom"))


def _duplicate_words(facts: ReleaseFacts) -> list[Markup]:
    """State which files have nearly the same code, where each code is of one image."""
    options = facts.about["options"]
    if facts.records is not None or not facts.holds("code") or options.get("noise"):
        return []
    try:
        groups = near_duplicates(LocalPlace(facts.folder).fetched, facts.images)
    except (DeepfixcxError, OSError, LookupError, ValueError):
        return [paragraph("Codes were not compared with each other: a file is damaged.")]
    with_ids = options.get("names", "neutral") == "neutral"
    said = Duplicates(near=groups).sentences(with_ids=with_ids)
    return [paragraph(f"{each}.") for each in said]


def _record_words(facts: ReleaseFacts) -> list[Markup]:
    """State what a record is, where it is not the code of one image, and which labels it lacks."""
    if facts.records is None:
        return []
    values = counted(facts.kept().numbers, "value")
    what = (
        "It has no bands and no cells, and is not a picture."
        if facts.vectors
        else "A picture of it is synthetic and does not come from a scanner."
    )
    words = [
        f"A record has {values}. It is not the code of one image: the mechanisms listed below "
        f"changed it, mixed it with others, or replaced it with a random draw. {what}"
    ]
    fewest = facts.records.get("min_patients_positive") or facts.records.get("min_patients")
    dropped = ", ".join(map(str, facts.records.get("labels_dropped") or []))
    if dropped:
        words.append(
            f"Labels that are not released, because fewer than {fewest} patients are positive or "
            f"negative: {dropped}."
        )
    if facts.records.get("labels_merged"):
        words.append(
            f"Labels in combinations of fewer than {facts.records.get('min_patients')} patients "
            f"became unknown."
        )
    return list(map(paragraph, words))


def transform(facts: ReleaseFacts) -> Markup:
    """State what the transform removes, obscures and preserves of an image of typical size."""
    channels, height, width = facts.usual_size()
    spec = facts.spec
    kept = Kept.of_image(spec, channels, height, width)
    size = "the most frequent size" if facts.records is None else "about the mean size"
    if facts.records is not None and not facts.states_sizes:
        size = "the smallest that this code resolves; the release does not state sizes"
    fixed = _what_learned(facts)
    title = "What is done to an image"
    if facts.vectors:
        numbers = counted(facts.kept().numbers, "value")
        of_size = f", of {height:,} × {width:,} pixels on average," if facts.states_sizes else ""
        made = (
            f"An image{of_size} becomes a code of "
            f"{kept.numbers:,} values ({spec}). Codes are not in the release: the mechanisms "
            f"below make the records from them, {numbers} each. {fixed}"
        )
        return section("transform", title, paragraph(made), _mechanisms(facts))
    of_image = f"Of an image of {height:,} × {width:,} pixels ({size}), the code keeps {kept}."
    parts = [paragraph(f"{of_image} {fixed}")]
    try:
        found = statements(spec, height, width)
    except (ExplanationError, ImageTooSmallError) as error:
        return section("transform", title, *parts, paragraph(f"{error}."), _mechanisms(facts))
    kinds = [
        (kind.capitalize(), [_sentence(each.words) for each in found if each.kind == kind])
        for kind in ("removed", "obscured", "preserved")
    ]
    parts.append(part("statements", [(kind, texts or ["Nothing."]) for kind, texts in kinds]))
    return section("transform", title, *parts, _mechanisms(facts))


def _what_learned(facts: ReleaseFacts) -> str:
    """Say what is fixed and what learned from images: the transform, and the mechanisms."""
    fixed = "The transform from image to code is fixed: it learned nothing from any image."
    public = int((facts.records or {}).get("public_images") or 0)
    if not public:
        return fixed
    of_whom = f"{counted(public, 'image')} of other patients"
    return f"{fixed} The mechanisms, which come after it, learned from {of_whom}."


def _mechanisms(facts: ReleaseFacts) -> Markup:
    """List what was done to codes, with what it guarantees."""
    if not facts.applied:
        return Markup("")
    rows = [[each.words, each.guarantee or "none is stated"] for each in facts.applied]
    caption = "Mechanisms that were applied to the codes, in this order"
    return table(["mechanism", "what it guarantees"], rows, caption=caption)


def examples(facts: ReleaseFacts, originals: Originals | None) -> Markup:
    """Show some images; beside their originals only where those are given."""
    captions = [
        (image, f"{image.name} ({image.height:,} × {image.width:,})")
        for image in spread_out(facts.images, EXAMPLES)
    ]
    shown = _pictures(facts, captions, originals, ": before and after")
    if not shown:
        words = "The release contains nothing that can be shown as a picture."
        return section("examples", "Examples", paragraph(words))
    if originals is not None:
        words = "Before and after. This file holds originals: share it as you would share them."
    else:
        words = (
            "Images as a recipient sees them, chosen at equal distances. Originals are not in "
            "this file."
        )
    drawn = part("pictures", shown, originals is not None)
    return section("examples", "Examples", paragraph(words), drawn)


Picture = tuple[str, str, str, str]
"""Name, URL of what a recipient sees, URL of the original or "", and caption."""


def _pictures(
    facts: ReleaseFacts,
    captions: Sequence[tuple[Shared, str]],
    originals: Originals | None,
    of_both: str = "",
) -> list[Picture]:
    """Return the pictures of images that can be read, `of_both` behind captions of pairs."""
    shown = []
    for image, caption in captions:
        after = readable(facts, image)
        if after is None:
            continue
        before = None if originals is None else originals.pixels(image)
        original = "" if before is None else data_url(for_screen(before, SIDE))
        both = of_both if before is not None else ""
        shown.append((image.name, data_url(for_screen(after, SIDE)), original, caption + both))
    return shown


def worst_of(facts: ReleaseFacts, originals: Originals | None) -> Worst:
    """Find the images most similar to their originals; without originals, those of most detail."""
    looked = spread_out(facts.images, MOST_LOOKED_AT)
    if originals is not None:
        alike = [(image, originals.likeness(facts, image)) for image in looked]
        ranked = [(image, value) for image, value in alike if value is not None]
        if ranked:
            return Worst(_first(ranked), True, len(ranked))
    detail = [(image, readable(facts, image)) for image in looked]
    found = [(image, detail_left(pixels)) for image, pixels in detail if pixels is not None]
    return Worst(_first(found), False, len(found))


def worst_images(facts: ReleaseFacts, worst: Worst, originals: Originals | None) -> Markup:
    """Show the images that keep the most content."""
    measure = "SSIM {:.2f}" if worst.alike else "detail {:.3f}"
    captions = [(image, f"{image.name}: {measure.format(value)}") for image, value in worst.images]
    shown = _pictures(facts, captions, originals)
    if not shown:
        words = "The release contains nothing that can be shown as a picture."
        return section("worst", f"The {facts.noun}s that keep the most content", paragraph(words))
    if worst.alike:
        words = (
            "Most similar to their originals by structural similarity (SSIM; 1 is the same "
            "image). Check them before you share the release."
        )
    else:
        words = (
            "Highest detail: root mean square of the differences between neighbouring pixels, "
            "from 0 to 1. Originals were not compared. Check them before you share the release."
        )
    if worst.looked_at < len(facts.images):
        several = counted(len(facts.images), facts.noun)
        words += f" {worst.looked_at:,} of {several} were examined."
    return section(
        "worst",
        f"The {counted(len(shown), facts.noun)} that keep the most content",
        paragraph(words),
        part("pictures", shown, originals is not None),
    )


def failures(facts: ReleaseFacts, not_read: NotRead | None) -> Markup:
    """State what failed and what was not read, and why; nothing of it is in the release."""
    parts = []
    if facts.records is None:
        reasons = facts.reasons()
        rows = [[error, reason, f"{count:,}"] for error, reason, count in reasons[:MOST_REASONS]]
        if not rows:
            parts.append(paragraph("No file failed."))
        else:
            failed = counted(len(facts.failures), "file is", "files are")
            parts.append(paragraph(f"{failed} not in the release."))
            parts.append(table(["error", "reason", "files"], rows))
        if (more := len(reasons) - MOST_REASONS) > 0:
            parts.append(paragraph(f"And {counted(more, 'other reason')}; see failures.csv."))
    return section("failures", "What failed or was not read", *parts, *_not_read(facts, not_read))


def _not_read(facts: ReleaseFacts, not_read: NotRead | None) -> list[Markup]:
    """State the counts of the private folder, or that they are unknown."""
    if not_read is None:
        return [
            paragraph(
                "The private folder of the release was not found, so it is unknown which files of "
                "the input were not read. Name it with --private."
            )
        ]
    parts = []
    what = "file or folder" if facts.records is None else "image"
    left = sum(count for _, count in not_read.files)
    if left:
        words = f"{left:,} further inputs are not in the release, by reason:"
        if left == 1:
            words = f"1 further {what} is not in the release, for this reason:"
        rows = [f"{reason}: {count:,}" for reason, count in not_read.files[:MOST_REASONS]]
        parts += [paragraph(words), items(rows)]
    else:
        parts.append(paragraph("No other file of the input was left out."))
    if not_read.notes:
        parts.append(paragraph("Read with corrections to the header, and the number of files:"))
        parts.append(items(f"{note}: {count:,}" for note, count in not_read.notes[:MOST_REASONS]))
    return parts


def _first(ranked: Sequence[tuple[Shared, float]]) -> tuple[tuple[Shared, float], ...]:
    return tuple(sorted(ranked, key=lambda each: -each[1])[:WORST])


def _grid(facts: ReleaseFacts) -> str:
    return " × ".join(map(str, facts.spec.grid_shape))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
