"""What a code keeps of an image, in a line for a figure: the statements of `explain`, shortened."""

from __future__ import annotations

from dataclasses import dataclass

from deepfixcx.explain.removal import Kind, Statement, none_removed, single, statements
from deepfixcx.spec import CodecSpec

__all__ = ["Kept", "obscured", "preserved", "removed"]


@dataclass(frozen=True, slots=True)
class Kept:
    """How many values a code keeps of an image.

    Attributes
    ----------
    numbers, of : int
        Numbers in the code; numbers in the image, which is C x H x W.

    Examples
    --------
    >>> kept = Kept.of_image(CodecSpec(level=3, patches=4), 1, 512, 512)
    >>> kept.numbers, kept.ratio, kept.percent
    (1024, '1 : 256', '0.39 %')
    """

    numbers: int
    of: int

    @classmethod
    def of_image(cls, spec: CodecSpec, channels: int, height: int, width: int) -> Kept:
        """Count for a spec and an image of C x H x W."""
        return cls(spec.numbers(channels), channels * height * width)

    @property
    def factor(self) -> float:
        """Compression factor: values of the image per value of the code."""
        return self.of / self.numbers

    @property
    def ratio(self) -> str:
        """The compression ratio, such as 1 : 256."""
        factor = self.factor
        return f"1 : {factor:,.0f}" if factor >= 10 else f"1 : {factor:.2g}"

    @property
    def percent(self) -> str:
        """The share of values kept, with two digits."""
        share = 100 * self.numbers / self.of
        return f"{share:,.0f} %" if share >= 10 else f"{share:.2g} %"

    def __str__(self) -> str:
        """Return all of it in one line."""
        return f"{self.numbers:,} of {self.of:,} values ({self.percent}, {self.ratio})"


def removed(spec: CodecSpec, height: int, width: int) -> str:
    """Say what is gone from an image of this size, the most telling first."""
    if small := _smaller_than_a_block(spec, height, width):
        return small
    found = _of_kind("removed", spec, height, width)
    return found[0].words if found else none_removed(spec, height, width)


def obscured(spec: CodecSpec, height: int, width: int) -> str:
    """Say what is blurred in an image of this size."""
    if single(spec, height, width):
        return "little: each cell holds a single coefficient; take fewer patches"
    if small := _smaller_than_a_block(spec, height, width):
        return small
    return _of_kind("obscured", spec, height, width)[0].words


def preserved(spec: CodecSpec) -> str:
    """Say what is still there of an image whose cells hold several coefficients."""
    height, width = spec.compact_shape()
    found = _of_kind("preserved", spec, 2 * height, 2 * width)
    topics = ["amount"] if len(spec.poolings) > 1 else ["brightness", "amount", "energy"]
    return ", and ".join([each.words for each in found if each.topic in topics][:2])


def _of_kind(kind: Kind, spec: CodecSpec, height: int, width: int) -> list[Statement]:
    return [each for each in statements(spec, height, width) if each.kind == kind]


def _smaller_than_a_block(spec: CodecSpec, height: int, width: int) -> str:
    """Return why nothing is said of an image of which no block of pixels is whole."""
    if min(height, width) >= spec.block:
        return ""
    return f"not said: the image is smaller than a block of {spec.block} × {spec.block} pixels"
