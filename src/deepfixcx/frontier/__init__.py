"""Which mechanism to take: utility against linkage and reconstruction, on the images at hand.

Mechanisms are fitted, classifiers trained and attackers re-trained for every setting. This room is
above `learn`, `audit` and `mechanisms`, because it needs all three.
"""

from __future__ import annotations
