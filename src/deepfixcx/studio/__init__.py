"""A local web page for people who choose a setting or check a release.

Explore, Explain, Release and Audit are views of what the rest of the package computes. What a
view shows is worked out by plain functions (`exploring`, `releases`, `results`, `explaining`)
that know no browser; the ``page_...`` modules turn it into elements of NiceGUI; `security` stands
in front of all of it.
"""

from __future__ import annotations

__all__: list[str] = []
