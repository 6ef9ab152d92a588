"""Which mechanism to take: utility against linkage and reconstruction, on one's own images.

Mechanisms are fitted, classifiers trained and attackers re-trained for every setting. This room is
above `learn`, `audit` and `mechanisms`, because it needs all three.
"""

from __future__ import annotations
