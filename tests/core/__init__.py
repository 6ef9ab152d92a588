"""Tests of the core: spec, kernels, packets, pooling, codec, codes and their file format."""
