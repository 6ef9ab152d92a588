"""Mechanisms by the names that commands take; ``,`` or ``+`` separates the steps of a chain."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from deepfixcx.errors import MechanismError
from deepfixcx.mechanisms.independent import INDEPENDENT, BandSelection, Quantization
from deepfixcx.mechanisms.mixing import KMixing
from deepfixcx.mechanisms.pixel_noise import PixelNoise
from deepfixcx.mechanisms.projection import IdentitySuppression, TaskProjection
from deepfixcx.mechanisms.protocol import Chain, DataIndependent, Mechanism, Plain
from deepfixcx.mechanisms.resampling import LabelResampling
from deepfixcx.mechanisms.synthesis import ShrunkSynthesis
from deepfixcx.spec import CodecSpec

__all__ = [
    "MECHANISMS",
    "OFFERED",
    "budget_of",
    "check_name",
    "label_patients",
    "makes_vectors",
    "mechanism_named",
    "mixes",
    "names_in",
    "needs_labels",
    "needs_public",
    "noise_named",
    "steps_of",
]

MECHANISMS: Mapping[str, Callable[[], Mechanism]] = MappingProxyType(
    {
        "plain": Plain,
        "bands": lambda: INDEPENDENT["bands"],
        "quantization": lambda: INDEPENDENT["quantization"],
        "mixing-3": lambda: KMixing(3, "member"),
        "mixing-5": lambda: KMixing(5, "member"),
        "suppression": lambda: IdentitySuppression(20, 60),
        "projection": TaskProjection,
        "projection-codes": lambda: TaskProjection(decoded=True),
        "projection-mixing": lambda: Chain((TaskProjection(), KMixing(3, "member"))),
        "resampling-20": lambda: Chain((TaskProjection(), LabelResampling(0.2))),
        "resampling": lambda: Chain((TaskProjection(), LabelResampling(copies=4))),
        "resampling-codes": lambda: LabelResampling(components=20, copies=4),
        "synthesis": ShrunkSynthesis,
        "synthesis-codes": lambda: ShrunkSynthesis(decoded=True),
        "synthesis-pca": lambda: ShrunkSynthesis(20, directions="variance"),
    }
)
"""Each makes a mechanism that is not fitted yet. Further names are ``mixing`` (with k = 3),
``mixing-K``, ``resampling-P``, which keeps P % of the variance of records given the labels, and
``synthesis-NUMBERS-EPSILON-DELTA`` (or ``synthesis-codes-…``, ``synthesis-pca-…``,
``synthesis-pca-codes-…``), of which the last ones may be missing: without EPSILON there is no
budget, and DELTA is 1e-5."""

OFFERED = tuple(name for name in MECHANISMS if "mixing" not in name)
"""Names in help, completion and errors. Mixing is accepted but not offered: an attacker who holds
candidate images finds the members of its records."""

DECIMAL = r"[0-9]+(?:\.[0-9]+)?"
SYNTHESIS = re.compile(
    rf"synthesis(-pca)?(-codes)?-([0-9]{{1,4}})(?:-({DECIMAL})(?:-({DECIMAL}(?:e-[0-9]+)?))?)?"
)
NOISE = re.compile(rf"noise-({DECIMAL})-([0-9]+)")


def names_in(text: str) -> tuple[str, ...]:
    """Return the names in a text with commas or ``+`` between, in order."""
    return tuple(word.strip() for word in re.split(r"[,+]", text) if word.strip())


def mechanism_named(text: str) -> Mechanism:
    """Make the mechanism of a name, or a chain of several.

    ``resampling`` and ``projection-mixing`` begin with a projection; named after one, they do not
    project a second time.

    Parameters
    ----------
    text : str
        Names with ``,`` or ``+`` between them, in order.

    Returns
    -------
    Mechanism
        Not fitted yet.

    Raises
    ------
    MechanismError
        There is none of that name, one is named twice, or one projects a second time.

    Examples
    --------
    >>> mechanism_named("mixing-7").name
    'mixing k=7 a member'
    >>> mechanism_named("projection,resampling") == mechanism_named("resampling")
    True
    """
    names = names_in(text)
    if not names:
        raise MechanismError(f"name at least one mechanism: {', '.join(OFFERED)}")
    if len(set(names)) < len(names):
        raise MechanismError(f"a mechanism is named twice: {', '.join(names)}")
    steps: list[Mechanism] = []
    for name in names:
        for step in steps_of(_one(name)):
            if steps and steps[-1] == step:
                continue
            if isinstance(step, TaskProjection) and any(map(_projects, steps)):
                raise MechanismError(
                    f"{name!r} projects codes, and an earlier mechanism does so already; "
                    f"omit it, or name it first"
                )
            steps.append(step)
    if len(steps) > 1 and any(isinstance(step, ShrunkSynthesis) for step in steps):
        raise MechanismError(
            "synthesis draws its records from a model of the codes; name no other mechanism with it"
        )
    return steps[0] if len(steps) == 1 else Chain(tuple(steps))


def check_name(name: str, others: Sequence[str] = ()) -> None:
    """Raise unless the name is of a known mechanism or one of the others."""
    if name not in others:
        for each in names_in(name) or (name,):
            _one(each, others)


def noise_named(name: str, spec: CodecSpec) -> PixelNoise | None:
    """Return the noise that ``noise-EPSILON-PIXELS`` names; None for other names."""
    if not name.startswith("noise"):
        return None
    found = NOISE.fullmatch(name)
    if found is None:
        raise MechanismError(
            f"a noise mechanism is named noise-EPSILON-PIXELS, for example noise-2-16 for epsilon "
            f"2 and images that differ in at most 16 pixels; got {name!r}"
        )
    return PixelNoise(spec, float(found[1]), pixels=int(found[2]))


def steps_of(mechanism: Mechanism) -> tuple[Mechanism, ...]:
    """Return the steps of a chain, or the mechanism itself."""
    return tuple(mechanism.steps) if isinstance(mechanism, Chain) else (mechanism,)


def needs_labels(mechanism: Mechanism) -> bool:
    """Return whether a mechanism reads labels."""
    alone = (Plain, BandSelection, Quantization)
    return not all(isinstance(step, alone) for step in steps_of(mechanism))


def needs_public(mechanism: Mechanism) -> bool:
    """Return whether a mechanism learns from images of patients outside the release."""
    return not all(isinstance(step, DataIndependent) for step in steps_of(mechanism))


def mixes(mechanism: Mechanism) -> bool:
    """Return whether records are means over several images."""
    return any(isinstance(step, KMixing) for step in steps_of(mechanism))


def label_patients(mechanism: Mechanism) -> int:
    """Return the fewest positive, and negative, patients of a label that the mechanism uses."""
    steps = steps_of(mechanism)
    return max((s.label_patients for s in steps if isinstance(s, LabelResampling)), default=0)


def makes_vectors(mechanism: Mechanism) -> bool:
    """Return whether records are vectors rather than codes."""
    return any(map(_projects, steps_of(mechanism)))


def budget_of(mechanism: Mechanism) -> tuple[float, float] | None:
    """Return the epsilon and delta for a patient that a mechanism has; None without."""
    if isinstance(mechanism, ShrunkSynthesis) and mechanism.epsilon is not None:
        return mechanism.epsilon, mechanism.delta
    return None


def _projects(step: Mechanism) -> bool:
    return isinstance(step, TaskProjection | ShrunkSynthesis) and not step.decoded


def _one(name: str, others: Sequence[str] = ()) -> Mechanism:
    if name in MECHANISMS:
        return MECHANISMS[name]()
    if found := re.fullmatch(r"mixing(?:-([0-9]{1,6}))?", name):
        return KMixing(int(found[1] or 3), "member")
    if found := re.fullmatch(r"resampling-([0-9]{1,2})", name):
        return Chain((TaskProjection(), LabelResampling(int(found[1]) / 100)))
    if found := SYNTHESIS.fullmatch(name):
        pca, codes, numbers, epsilon, delta = found.groups()
        budget = None if epsilon is None else float(epsilon)
        return ShrunkSynthesis(
            int(numbers), budget, float(delta or 1e-5), decoded=codes is not None,
            directions="labels" if pca is None else "variance",
        )  # fmt: skip
    known = [*MECHANISMS, *others]
    near = difflib.get_close_matches(name, [*known, "mixing", "noise-2-16"], n=1)
    hint = f", did you mean {near[0]!r}?" if near else ";"
    raise MechanismError(
        f"unknown mechanism {name!r}{hint} choose from: {', '.join([*OFFERED, *others])}"
    )
