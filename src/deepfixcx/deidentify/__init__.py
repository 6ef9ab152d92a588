"""DICOM headers without the patient, and the search for what stayed behind.

`Deidentifier` applies the Basic Profile of DICOM PS3.15 Annex E and the options of a `Profile` to
a header; a `Key` makes the same patient the same pseudonym wherever it is used. The package
`deepfixcx.deidentify.scan` searches what is about to be shared for the strings of the sources. It
knows nothing of the rules, so that a mistake in them does not repeat itself there.

Importing this package loads pydicom, as nothing here is of use without it.
"""

from __future__ import annotations

from deepfixcx.deidentify.actions import Action, Actions, Handled, Method, stamp
from deepfixcx.deidentify.deidentifier import Deidentifier
from deepfixcx.deidentify.key import Key, MappingTable, load_key
from deepfixcx.deidentify.profile import PrivateElement, Profile, read_private_elements
from deepfixcx.deidentify.rules import ElementRule, read_rules

__all__ = [
    "Action",
    "Actions",
    "Deidentifier",
    "ElementRule",
    "Handled",
    "Key",
    "MappingTable",
    "Method",
    "PrivateElement",
    "Profile",
    "load_key",
    "read_private_elements",
    "read_rules",
    "stamp",
]
