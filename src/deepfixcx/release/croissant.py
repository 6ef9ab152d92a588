"""A release described for machines: Croissant 1.1 with its RAI fields, and HealthDCAT-AP.

Sources: the `Croissant format 1.1 <https://docs.mlcommons.org/croissant/docs/croissant-spec.html>`_,
`Croissant RAI 1.0 <https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html>`_ and
`HealthDCAT-AP <https://healthdataeu.pages.code.europa.eu/healthdcat-ap/>`_.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from deepfixcx.choices import CONTENTS
from deepfixcx.io.release_files import DATA, MANIFEST, ROWS
from deepfixcx.release.about import About
from deepfixcx.release.ledger import Record

__all__ = ["catalog_record", "croissant", "is_synthetic"]

PARQUET = "application/x-parquet"
OF_CROISSANT = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field"),
    *("fileProperty", "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset"),
    *("jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{name: f"cr:{name}" for name in OF_CROISSANT},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
TYPES = {"str": "sc:Text", "int": "cr:Int64", "float": "cr:Float64"}
LAW = "http://data.europa.eu/eli/reg/2025/327/oj"
"""The regulation on the European Health Data Space."""

DESCRIPTION = "Medical images, compressed without learning by deepfixcx."
DEIDENTIFIED = "De-identified DICOM files; pixels are those of the sources."
SENSITIVE = (
    "Health data of patients. Names and numbers of patients are not in the release; images and "
    "codes can be matched with other images of the same patient."
)


def croissant(
    metadata: Mapping[str, Any],
    about: About,
    listed: Mapping[str, str],
    labels: Iterable[str],
    meanings: Mapping[str, str],
) -> dict[str, Any]:
    """Return the description for machine learning as a JSON-LD object."""
    table = ROWS if ROWS in listed else MANIFEST
    kind = PARQUET if ROWS in listed else "text/csv"
    has_data = any(name.startswith(DATA) for name in listed)
    files: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject",
            "@id": table,
            "name": table,
            "description": "One row for each image.",
            "contentUrl": table,
            "encodingFormat": kind,
            "sha256": listed[table],
        }
    ]
    sets = [_rows(table, labels if ROWS in listed else (), meanings)]
    if has_data:
        files.append(
            {
                "@type": "cr:FileSet",
                "@id": "tables",
                "name": "tables",
                "description": "Images, codes and labels, row by row.",
                "encodingFormat": PARQUET,
                "includes": f"{DATA}*.parquet",
            }
        )
        sets.append(_data(metadata, labels, meanings))
    described: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.1",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": re.sub(r"\W+", "_", about.title).strip("_") or "deepfixcx_release",
        "description": _description(metadata),
        "version": "1.0.0",
        "isLiveDataset": False,
        **_stated(about),
        **_responsible(metadata, about),
        "distribution": files,
        "recordSet": sets,
    }
    return described


def _description(metadata: Mapping[str, Any]) -> str:
    alone = metadata["options"].get("output") == "deidentified"
    drawn = "Synthetic records: each is drawn from a model. " if is_synthetic(metadata) else ""
    count = f"{metadata['totals']['images']} images or records."
    return f"{drawn}{DEIDENTIFIED if alone else DESCRIPTION} {count} {metadata['limits']}"


def is_synthetic(metadata: Mapping[str, Any]) -> bool:
    """Return whether the records are drawn from a model, so that none is of a patient."""
    return metadata.get("records", {}).get("synthetic") is True


def of_volumes(metadata: Mapping[str, Any]) -> bool:
    """Return whether the inputs of a release were volumes."""
    return bool(metadata["options"].get("spec", {}).get("ndim") == 3)


def _stated(about: About) -> dict[str, Any]:
    """Return what people state, under the names of schema.org."""
    stated: dict[str, Any] = {}
    if about.licence:
        stated["license"] = about.licence
    if about.date:
        stated["datePublished"] = about.date
    if about.institution:
        institution: dict[str, Any] = {"@type": "sc:Organization", "name": about.institution}
        if about.contact:
            point = {"@type": "sc:ContactPoint", "description": about.contact}
            institution["contactPoint"] = point
        stated |= {"creator": institution, "publisher": institution}
        stated["citeAs"] = f"{about.institution}. {about.title or 'Privatized medical images'}."
    return stated


def _responsible(metadata: Mapping[str, Any], about: About) -> dict[str, Any]:
    """Return the RAI fields that are known."""
    options, steps = metadata["options"], metadata["mechanisms"]
    protocol = ["Wavelet packets and pooling (no learning)."]
    if options.get("output") == "deidentified":
        protocol = ["DICOM headers were de-identified by the profile in deidentification.md."]
    if options.get("mask"):
        protocol.append(f"Regions painted black by the mask {options['mask']!s}.")
    names = [str(s["mechanism"]) for each in steps for s in each.get("steps", [each])]
    if names:
        protocol.append(f"Mechanisms applied to codes: {', '.join(names)}.")
    fields: dict[str, Any] = {
        "rai:dataLimitations": [str(metadata["limits"])],
        "rai:personalSensitiveInformation": [SENSITIVE],
        "rai:dataPreprocessingProtocol": protocol,
    }
    if about.collection:
        fields["rai:dataCollection"] = about.collection
    if about.purpose:
        fields["rai:dataUseCases"] = [about.purpose]
    return fields


def _rows(table: str, labels: Iterable[str], meanings: Mapping[str, str]) -> dict[str, Any]:
    """Return the record set of the manifest."""
    types = {name: kind.type for name, kind in Record.__dataclass_fields__.items()}
    of = {"fileObject": {"@id": table}}
    columns = {n: TYPES[str(types[n])] for n in Record.public_columns() if n in meanings}
    columns |= {f"label_{name}": "cr:Int8" for name in labels}
    fields = [_field("manifest", name, kind, of, meanings) for name, kind in columns.items()]
    return {"@type": "cr:RecordSet", "@id": "manifest", "name": "manifest", "field": fields}


def columns_of_data(meanings: Mapping[str, str]) -> list[str]:
    """Return the columns that tables in data/ share with the manifest."""
    names = ("source_id", "frame", "patient", "channels", "height", "width", "bits")
    return [name for name in names if name in meanings]


def _data(
    metadata: Mapping[str, Any], labels: Iterable[str], meanings: Mapping[str, str]
) -> dict[str, Any]:
    """Return the record set of images, codes and labels."""
    output, of_records = metadata["options"].get("output", "both"), metadata.get("records")
    of = {"fileSet": {"@id": "tables"}}
    texts = ("source_id", "patient")
    columns = {n: "sc:Text" if n in texts else "cr:Int64" for n in columns_of_data(meanings)}
    columns |= {f"label_{name}": "cr:Int8" for name in labels}
    fields = [_field("data", name, kind, of, meanings) for name, kind in columns.items()]
    if of_records is None and "image" in CONTENTS[output] and not of_volumes(metadata):
        image = _field("data", "image", "sc:ImageObject", of, meanings)
        image["source"]["transform"] = {"jsonPath": "bytes"}
        fields.append(image)
    vectors = of_records is not None and len(of_records["shape"]) == 1
    if vectors or of_records is not None or "code" in CONTENTS[output]:
        name = "record" if vectors else "code"
        array = {"isArray": True, "arrayShape": "-1"}
        fields.append(_field("data", name, "cr:Float32", of, meanings) | array)
    return {"@type": "cr:RecordSet", "@id": "data", "name": "data", "field": fields}


def _field(
    room: str, name: str, kind: str, source: Mapping[str, Any], meanings: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{room}/{name}",
        "name": name,
        "description": meanings.get(name, "1, 0, or null where unknown"),
        "dataType": kind,
        "source": {**source, "extract": {"column": name}},
    }


def catalog_record(
    metadata: Mapping[str, Any], about: About, listed: Mapping[str, str]
) -> dict[str, Any]:
    """Return the record for catalogs of health data as a JSON-LD object."""
    authority = "http://publications.europa.eu/resource/authority"
    record: dict[str, Any] = {
        "@context": {
            "adms": "http://www.w3.org/ns/adms#",
            "dcat": "http://www.w3.org/ns/dcat#",
            "dcatap": "http://data.europa.eu/r5r/",
            "dct": "http://purl.org/dc/terms/",
            "foaf": "http://xmlns.com/foaf/0.1/",
            "healthdcatap": "http://healthdataportal.eu/ns/health#",
            "spdx": "http://spdx.org/rdf/terms#",
            "vcard": "http://www.w3.org/2006/vcard/ns#",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@type": "dcat:Dataset",
        "dct:identifier": f"sha256:{listed[MANIFEST]}",
        "dct:title": {"@language": "en", "@value": about.title or "Privatized medical images"},
        "dct:description": {"@language": "en", "@value": _description(metadata)},
        "dct:accessRights": {"@id": f"{authority}/access-right/NON_PUBLIC"},
        "dcat:theme": {"@id": f"{authority}/data-theme/HEAL"},
        "dct:type": {"@id": f"{authority}/dataset-type/PERSONAL_DATA"},
        "dcatap:applicableLegislation": {"@id": LAW},
        "dcat:keyword": ["medical imaging", "compression", "wavelet packets"],
        "healthdcatap:numberOfRecords": {
            "@type": "xsd:nonNegativeInteger",
            "@value": str(metadata["totals"]["images"]),
        },
        "dct:provenance": {
            "@type": "dct:ProvenanceStatement",
            "dct:description": about.collection
            or f"Made by deepfixcx {metadata['software']['deepfixcx']}.",
        },
        "dcat:distribution": _distribution(listed, about),
    }
    if about.purpose:
        record["healthdcatap:purpose"] = {"dct:description": about.purpose}
    if about.date:
        record["dct:issued"] = about.date
    if about.institution:
        record["dct:publisher"] = {"@type": "foaf:Agent", "foaf:name": about.institution}
    if about.contact:
        contact: dict[str, Any] = {"@type": "vcard:Kind", "vcard:fn": about.contact}
        if re.fullmatch(r"[^@\s]+@[^@\s]+", about.contact):
            contact["vcard:hasEmail"] = {"@id": f"mailto:{about.contact}"}
        record["dcat:contactPoint"] = contact
    return record


def _distribution(listed: Mapping[str, str], about: About) -> dict[str, Any]:
    """Return the release folder as it is distributed, known by the checksum of its manifest."""
    distribution: dict[str, Any] = {
        "@type": "dcat:Distribution",
        "dct:title": {"@language": "en", "@value": "Release folder of deepfixcx"},
        "dcat:accessURL": {"@id": MANIFEST},
        "spdx:checksum": {
            "@type": "spdx:Checksum",
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
            "spdx:checksumValue": listed[MANIFEST],
        },
    }
    if about.licence:
        distribution["dct:license"] = {"dct:description": about.licence}
    return distribution
