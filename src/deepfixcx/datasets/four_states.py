"""What CheXpert and MIMIC-CXR-JPG share: fourteen observations, each in one of four states."""

from __future__ import annotations

from collections.abc import Mapping

from deepfixcx.datasets.labels import State, read_state

__all__ = ["NO_FINDING", "OBSERVATIONS", "read_observations"]

NO_FINDING = "No Finding"

OBSERVATIONS = (
    *(NO_FINDING, "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion"),
    *("Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion"),
    *("Pleural Other", "Fracture", "Support Devices"),
)


def read_observations(cells: Mapping[str, str]) -> tuple[State, ...]:
    """Read the fourteen cells of a study: 1, 0, -1 (uncertain) or blank (not mentioned).

    Only ``No Finding`` is never left open: the labellers write 1 where they saw none of the others,
    and nothing where they saw one, so that its blank is a no.
    """
    states = {name: read_state(cells.get(name, "")) or "blank" for name in OBSERVATIONS}
    if states[NO_FINDING] == "blank" and NO_FINDING in cells:
        states[NO_FINDING] = "no"
    return tuple(states.values())
