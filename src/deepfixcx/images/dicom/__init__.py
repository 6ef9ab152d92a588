"""DICOM images: from a file to pixels for display, and back to a derived file.

Reading: `reading` opens a file, by way of `native` where pixels lie there plainly and of `decoding`
where they are compressed; `display` applies the tables of modality and VOI. Writing: `writing`
makes the derived file of `classes`, `elements`, `groups`, `geometry` and `history`, and `validity`
checks it. Importing this package loads none of them, so that pydicom is loaded when it is needed.
"""
