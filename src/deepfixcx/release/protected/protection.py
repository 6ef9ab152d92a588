"""What is asked for by the names of mechanisms, and whether it can be done with what is given."""

from __future__ import annotations

from dataclasses import dataclass

from deepfixcx.datasets import Dataset
from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.catalogue import (
    makes_vectors,
    mechanism_named,
    mixes,
    names_in,
    needs_labels,
    needs_public,
    noise_named,
)
from deepfixcx.mechanisms.pixel_noise import PixelNoise
from deepfixcx.mechanisms.protocol import Mechanism
from deepfixcx.spec import CodecSpec

__all__ = ["Protection"]


@dataclass(frozen=True, slots=True)
class Protection:
    """Noise that encodes, and a mechanism that follows.

    Attributes
    ----------
    names : tuple of str
        As they were asked for.
    noise : PixelNoise or None
        In place of the codec.
    mechanism : Mechanism or None
        What is done to codes; None where there is only noise.

    Examples
    --------
    >>> Protection.of("mixing-3", CodecSpec(2, 4)).names
    ('mixing-3',)
    """

    names: tuple[str, ...]
    noise: PixelNoise | None
    mechanism: Mechanism | None

    @classmethod
    def of(cls, text: str, spec: CodecSpec) -> Protection:
        """Read names with commas between; noise comes first.

        Raises
        ------
        MechanismError
            A name is unknown, is there twice, or noise is not the first.

        Examples
        --------
        >>> Protection.of("noise-2-16,mixing-5", CodecSpec(level=2, patches=4)).mechanism.k
        5
        """
        names = names_in(text)
        noises = [noise_named(name, spec) for name in names]
        if any(noise is not None for noise in noises[1:]):
            raise MechanismError("noise replaces encoding; name it once, as the first mechanism")
        noise = noises[0] if noises else None
        rest = names if noise is None else names[1:]
        return cls(names, noise, mechanism_named(",".join(rest)) if rest or not names else None)

    @property
    def in_workers(self) -> bool:
        """Whether each code can be made alone, without labels and other images."""
        return self.mechanism is None or not needs_labels(self.mechanism)

    @property
    def followed(self) -> Mechanism:
        """The mechanism that follows noise.

        Raises
        ------
        MechanismError
            There is none.
        """
        if self.mechanism is None:
            raise MechanismError("noise alone needs no labels; make an ordinary release with it")
        return self.mechanism

    @property
    def vectors(self) -> bool:
        """Whether records are vectors rather than codes."""
        return self.mechanism is not None and makes_vectors(self.mechanism)

    def check(self, dataset: Dataset, public: Dataset | None) -> None:
        """See that labels, patients and other images are there where they are needed.

        Raises
        ------
        MechanismError
            They are not; or there are some that would not be used.
        """
        mechanism, called = self.followed, ",".join(self.names)
        if self.in_workers:
            raise MechanismError(
                f"{called} uses no labels; make an ordinary release with it, and omit --labels "
                "and --public"
            )
        if not dataset.label_names:
            raise MechanismError(f"{called} needs labels; name them with --labels")
        if not dataset.has_patients:
            raise MechanismError(
                f"{called} counts patients, and some images to release have no patient ID; add "
                "the IDs to the table"
            )
        if public is None and needs_public(mechanism):
            raise MechanismError(
                f"{called} learns from images of other patients; name a dataset with the same "
                "labels with --public"
            )
        if public is not None and not needs_public(mechanism):
            raise MechanismError(f"{called} uses no other images; omit --public")
        if public is not None:
            self._check_public(dataset, public)

    def _check_public(self, dataset: Dataset, public: Dataset) -> None:
        if public.label_names != dataset.label_names:
            raise MechanismError(
                f"the public images have the labels {', '.join(public.label_names) or 'none'}, "
                f"and the images to release have {', '.join(dataset.label_names)}; name the same "
                "labels for both"
            )
        if dataset.has_patients and public.has_patients:
            both = set(dataset.patients.tolist()) & set(public.patients.tolist())
            if both:
                raise MechanismError(
                    f"{len(both)} patients are both in the images to release and in the public "
                    "images; remove them from one, or change the IDs if they are different "
                    "people"
                )

    def notes(self, dataset: Dataset, public: Dataset | None) -> tuple[str, ...]:
        """Return what could not be checked, in words."""
        notes = []
        if mixes(self.followed):
            notes.append(
                "an attacker who holds candidate images finds the members of mixed records; "
                "share no second release of these patients, and prefer resampling"
            )
        if public is not None and not (dataset.has_patients and public.has_patients):
            notes.append(
                "some public images have no patient ID, so it is not certain that they are of "
                "other patients; no file is in both"
            )
        return tuple(notes)
