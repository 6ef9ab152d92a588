"""A local web page for people who choose settings or check a release.

The pages Explore, Explain, Release and Audit show results of the rest of the package. `exploring`
and `releases` compute them without a browser; the ``page_...`` modules make elements of NiceGUI;
`security` checks every request.
"""

from __future__ import annotations

__all__: list[str] = []
