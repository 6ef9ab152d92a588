"""Comparisons with torch, ptwt and PyWavelets, from disk, in memory use, and a model of cost.

Run ``python -m benchmarks.all`` in the root of the repository; see README.md beside this file.
"""
