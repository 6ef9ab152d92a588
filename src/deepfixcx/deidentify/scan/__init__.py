"""What is about to be shared, searched for what the sources say of their patients.

It shares no code with the rules of `deepfixcx.deidentify`: it reads the headers anew, collects
every string that may identify a person, and looks for each in every byte of the output, in all
usual encodings and spellings. What it finds is evidence that something is wrong. That it finds
nothing is no proof that nothing is there.
"""

from __future__ import annotations

from deepfixcx.deidentify.scan.alone import scan_alone
from deepfixcx.deidentify.scan.evidence import Finding, ScanReport, write_evidence
from deepfixcx.deidentify.scan.run import read_words, scan

__all__ = ["Finding", "ScanReport", "read_words", "scan", "scan_alone", "write_evidence"]
