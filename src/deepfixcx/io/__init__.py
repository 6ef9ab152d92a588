"""Bytes in and out: the one way to write, replace and remove files and folders."""
