"""A release of de-identified DICOM files: headers by the profile, pixels as they are stored.

It is one more output of the pipeline of releases. Each input becomes one DICOM file or a failure
with its reason; what cannot be examined is withheld.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from deepfixcx.choices import Ocr, Written
from deepfixcx.errors import DamagedImageError, DeidentifyError, ImageFileError, NoPixelsError
from deepfixcx.images.masking import Mask, Region, painted_share
from deepfixcx.release.ledger import Record
from deepfixcx.release.options import ReleaseOptions
from deepfixcx.release.plan import Planned
from deepfixcx.spec import CodecSpec

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from deepfixcx.deidentify import Deidentifier, Profile
    from deepfixcx.deidentify.identity import Identity
    from deepfixcx.images.dicom.layout import Layout

__all__ = ["CONFORMANCE", "DeidentifyOptions", "KeptFile", "deidentified_file"]

CONFORMANCE: Final = "deidentification.md"
"""Name of the conformance statement in a release."""

LIMITS: Final = (
    "Headers were de-identified by the profile in deidentification.md; pixels are those of the "
    "sources but for painted regions. Faces in images of the head, unusual anatomy and text that "
    "was not recognized may still identify a patient."
)
PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True)  # without slots, which make pickling slow
class DeidentifyOptions(ReleaseOptions):
    """Everything about a release of de-identified DICOM files that changes its bytes.

    The other settings are those of `ReleaseOptions`.

    Parameters
    ----------
    profile : Profile
        What may stay of the headers.
    also : tuple of str
        Kinds of objects without an image that are not withheld: words of `OBJECTS`.

    Examples
    --------
    >>> from deepfixcx.deidentify import Profile
    >>> DeidentifyOptions(profile=Profile(retain_dates=True)).to_dict()["retain"]
    ['dates']
    """

    # No codec has a part in it; a release has to name one.
    spec: CodecSpec = field(default=CodecSpec(1, 1))
    output: Written = "deidentified"
    profile: Profile | None = None
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Take the default profile, keep the size."""
        from deepfixcx.deidentify import Profile

        object.__setattr__(self, "profile", self.profile or Profile())
        object.__setattr__(self, "size", "original")
        super().__post_init__()
        if "sr" in self.also and not self.known_profile.clean_structured:
            raise DeidentifyError(
                "structured reports keep their content with the option structured alone; add it to "
                "--retain, or omit sr from --also"
            )

    @property
    def limits(self) -> str:
        """What the metadata say of the privacy of such a release."""
        return LIMITS

    def papers(self) -> dict[str, bytes]:
        """Return the conformance statement."""
        from deepfixcx.deidentify.conformance import statement

        mask = None if self.mask is None else self.mask.name
        return {CONFORMANCE: statement(self.known_profile, mask, self.also).encode()}

    @property
    def known_profile(self) -> Profile:
        """The profile, which is never None."""
        if self.profile is None:
            raise DeidentifyError("the options have no profile")
        return self.profile

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        from deepfixcx.deidentify.conformance import chosen_options, rules_digest

        unused = {"spec", "size", "dtype", "mechanisms", "noise", "profile"}
        plain = {name: value for name, value in super().to_dict().items() if name not in unused}
        return plain | {
            "also": sorted(self.also),
            "free_text": "keep" if self.known_profile.keep_text else "drop",
            "retain": chosen_options(self.known_profile),
            "rules": rules_digest(self.known_profile),
        }


def chosen_profile(
    retain: Sequence[str],
    rules: Path | None,
    private_elements: Path | None,
    *,
    keep_text: bool = False,
) -> Profile:
    """Make the profile of words of ``--retain`` and files of rules."""
    from deepfixcx.deidentify import Profile, read_private_elements, read_rules
    from deepfixcx.deidentify.profile import OPTIONS

    chosen = [word.replace("-", "_") for word in retain]
    if unknown := sorted(set(chosen) - set(OPTIONS)):
        known = ", ".join(name.replace("_", "-") for name in OPTIONS)
        raise DeidentifyError(f"--retain is any of {known}, got {', '.join(unknown)}")
    private = frozenset() if private_elements is None else read_private_elements(private_elements)
    return Profile(
        **{OPTIONS[name]: True for name in chosen},  # type: ignore[arg-type]
        keep_text=keep_text,
        private=private,
        rules=() if rules is None else read_rules(rules),
    )


def chosen_objects(words: Sequence[str]) -> tuple[str, ...]:
    """Check words of ``--also``: kinds of objects without an image."""
    from deepfixcx.deidentify.conformance import OBJECTS

    known = {each.word for each in OBJECTS if each.word}
    if unknown := sorted(set(words) - known):
        raise DeidentifyError(
            f"--also is any of {', '.join(sorted(known))}, got {', '.join(unknown)}; other objects "
            "without an image are withheld"
        )
    return tuple(sorted(set(words)))


def chosen_mask(text: str, engine: Ocr) -> Mask:
    """Make the mask that ``--mask`` names: a policy for text, or a file of rules."""
    from deepfixcx.images.masking import load_mask
    from deepfixcx.images.text_mask import TextMask

    if text not in ("phi", "all"):
        return load_mask(text)
    mask = TextMask(text, engine)
    mask.check()
    return mask


@dataclass(frozen=True, slots=True)
class KeptFile:
    """One input, de-identified: its bytes and its rows of the manifest."""

    content: bytes
    rows: list[Record]


def deidentified_file(
    options: DeidentifyOptions, deidentifier: Deidentifier, item: Planned, stream: BinaryIO
) -> KeptFile:
    """De-identify one DICOM file, or raise why it is withheld."""
    from pydicom import dcmread

    from deepfixcx.images.dicom.writing import dicom_bytes
    from deepfixcx.images.frames import SNIFFED_BYTES, sniff
    from deepfixcx.images.reading import QUIET

    stream.seek(0)
    kind = sniff(stream.read(SNIFFED_BYTES))
    if kind and kind != "DICOM":
        raise ImageFileError(f"this is {kind}, not a DICOM file; exclude it, or use privatize")
    stream.seek(0)
    reason: DeidentifyError
    with QUIET:
        kept = options.mask is None and _ordinary(options, deidentifier, item, stream.read())
        if kept:
            return kept
        stream.seek(0)
        try:
            source = dcmread(stream, force=True)
            if not any(name in source for name in PIXELS):
                _check_object(source, options.also)
                made, _ = deidentifier.apply(source)
                return KeptFile(dicom_bytes(made), [_row(item, made)])
            return _image(options, deidentifier, item, source)
        except (DeidentifyError, ImageFileError):
            raise
        except Exception:
            reason = DeidentifyError(
                "the file is damaged or cannot be written as DICOM; copy it again from its source"
            )
    # Raised out here, so that what quotes the header is not even the context of this error.
    raise reason


def _ordinary(
    options: DeidentifyOptions, deidentifier: Deidentifier, item: Planned, content: bytes
) -> KeptFile | None:
    """De-identify an ordinary image from bytes to bytes; None for all others, and for refusals."""
    from pydicom.pixels.utils import get_expected_length

    from deepfixcx.deidentify.quick import quick_header
    from deepfixcx.images.dicom.kept import examined_frames, without_comments

    quick = quick_header(deidentifier, content)
    if quick is None:
        return None
    image = quick.image()
    try:
        layout, frames = examined_frames(image)
        size = layout.frames * layout.height * layout.width
        burned = str(image.get("BurnedInAnnotation") or "").strip().upper() == "YES"
        if burned or size > options.max_pixels or any(without_comments(each)[1] for each in frames):
            return None
        _check_decodable(image, layout)
        pixels = quick.pixels(None if frames else int(get_expected_length(image)))
    except Exception:  # the other code says what is wrong
        return None
    row = replace(_row(item, image), patient=quick.pseudonym)
    return KeptFile(quick.file(pixels), [replace(row, frame=n) for n in range(layout.frames)])


def _check_object(source: Dataset, also: Sequence[str]) -> None:
    """Refuse an object without an image unless its kind is allowed."""
    from deepfixcx.deidentify.conformance import policy_of

    policy = policy_of(str(source.get("SOPClassUID") or ""))
    if policy is None and "Rows" in source:
        raise DamagedImageError(
            "the file ends or is damaged before its pixels; copy it again from its source"
        )
    if policy is None:
        raise NoPixelsError("this DICOM file has no image, and its kind is unknown; exclude it")
    if not policy.word:
        raise NoPixelsError(f"this is a {policy.name}. {policy.policy} Exclude the file")
    if policy.word not in also:
        raise NoPixelsError(
            f"this is a {policy.name}, which has no image; add --also {policy.word} to include it"
        )


def _image(
    options: DeidentifyOptions, deidentifier: Deidentifier, item: Planned, source: Dataset
) -> KeptFile:
    from deepfixcx.deidentify import Method, stamp
    from deepfixcx.images.dicom.kept import (
        examined_frames,
        keep_frames,
        paint_frames,
        without_comments,
    )
    from deepfixcx.images.dicom.writing import dicom_bytes

    if "TransferSyntaxUID" not in getattr(source, "file_meta", {}):
        raise DeidentifyError(
            "the file does not state its transfer syntax, so its pixels cannot be kept; convert it"
        )
    layout, frames = examined_frames(source)
    size = layout.frames * layout.height * layout.width
    if size > options.max_pixels:
        raise DeidentifyError("the image has more pixels than --max-pixels allows; raise the limit")
    bare = [without_comments(frame) for frame in frames]
    _check_decodable(source, layout)
    regions = _regions(options.mask, source)
    made, actions = deidentifier.apply(source, keep_pixels=True)
    if any(comment for _, comment in bare):
        keep_frames(made, [frame for frame, _ in bare])
    if options.mask is not None:
        paint_frames(made, regions)
        made.BurnedInAnnotation = "NO"
        done = {*actions.methods, Method.CLEAN_PIXELS}
        stamp(made, [method for method in Method if method in done], actions.notes)
    row = replace(
        _row(item, made),
        masked=len(regions),
        masked_share=round(painted_share(regions, layout.height, layout.width), 4),
    )
    return KeptFile(dicom_bytes(made), [replace(row, frame=n) for n in range(layout.frames)])


def _check_decodable(source: Dataset, layout: Layout) -> None:
    """Refuse pixels that end too early or do not decode: bytes that no reader shows may be a text.

    Frames without compression have only to be long enough.
    """
    from deepfixcx.images.dicom.decoding import decode_frames

    if layout.family != "native":
        with warnings.catch_warnings():  # bytes behind a segment of RLE are no padding
            warnings.filterwarnings("error", message=".*non-conformant padding")
            decode_frames(source)
        return
    count = layout.frames * layout.height * layout.width * layout.samples
    if layout.photometric == "YBR_FULL_422":
        count = count * 2 // 3
    if 8 * len(source[layout.keyword].value or b"") < count * layout.allocated:
        raise DamagedImageError(
            "the file ends or is damaged before its last pixel; copy it again from its source"
        )


def _regions(mask: Mask | None, source: Dataset) -> tuple[Region, ...]:
    """Return what is painted; without a mask, refuse images that state text in their pixels."""
    if mask is None:
        if str(source.get("BurnedInAnnotation") or "").strip().upper() == "YES":
            raise DeidentifyError(
                "the header states that the pixels show text that identifies the patient (Burned "
                "In Annotation: YES); paint it with --mask"
            )
        return ()
    from deepfixcx.deidentify.identity import Identity
    from deepfixcx.images.dicom.decoding import decode_frames
    from deepfixcx.images.dicom.display import displayed
    from deepfixcx.images.text_mask import TextMask, outside_regions

    stored = decode_frames(source)
    pixels = displayed(stored.values, stored.photometric, source, [])
    beyond: tuple[Region, ...] = ()
    if isinstance(mask, TextMask):
        if mask.policy == "all":
            beyond = outside_regions(source, *pixels.shape[2:])
        elif mask.policy == "phi":
            mask = replace(mask, is_patient=_Patient(Identity.of(source)))
    return tuple(sorted({*mask.regions(pixels, source), *beyond}))


class _Patient:
    """Whether a word in an image is of the patient; digits are compared as numbers, too."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def __call__(self, text: str) -> bool:
        return self._identity.stands_in_text(text) or self._identity.is_number(text)


def _row(item: Planned, made: Dataset) -> Record:
    samples = int(made.get("SamplesPerPixel") or 0)
    bits = int(made.get("BitsAllocated") or 0)
    return Record(
        item.source_id,
        channels=samples,
        height=int(made.get("Rows") or 0),
        width=int(made.get("Columns") or 0),
        bits=bits,
        patient=str(made.get("PatientID") or ""),
    )
