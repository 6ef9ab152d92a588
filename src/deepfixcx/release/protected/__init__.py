"""Releases by a mechanism that looks at labels, at other images, or at many images at once.

(1) images -> plain codes, by the ordinary machinery, in the private folder
(2) plain codes -> mechanism -> records, labels and metadata, in the release

The first pass is the long one, and goes on where it was stopped. The second is made anew as a
whole; what it draws depends on a secret in the private folder, so it gives the same bytes again.
"""

from deepfixcx.release.protected.protection import Member, Protection, read_members
from deepfixcx.release.protected.run import ProtectedSummary, privatize_protected

__all__ = [
    "Member",
    "ProtectedSummary",
    "Protection",
    "privatize_protected",
    "read_members",
]
