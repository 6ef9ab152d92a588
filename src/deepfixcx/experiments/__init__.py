"""Grids of settings, tried one after the other in a folder that a stopped run continues.

`sweep` tries levels and numbers of patches, `frontier` tries mechanisms with re-trained attackers.
Both are grids of `folder.TrialFolder.try_all`: `sweep_setting` and `frontier_setting` measure one
setting, `rows` are the results, and `recommendation` chooses one. Importing this package loads none
of them.
"""
