"""What is in a capsule, as a CycloneDX 1.6 document: https://cyclonedx.org/docs/1.6/json/ (``docs/provenance.md``).

Pure: the document follows from the content, and from the time of the build if that is stamped. It needs
``cyclonedx-python-lib``, which nothing else does.
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import AttachedText, HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement

from capsule_builder import __version__
from capsule_builder.paths import CONTENTS_NAME
from capsule_builder.python.layout import INTERPRETER
from capsule_builder.requirements import Line, Requirements, Target
from capsule_builder.requirements.walk import Walk
from capsule_builder.statements.packed import Licenses, Packed, PackedDistribution
from capsule_builder.statements.provenance import encode, purl

_SERIAL = uuid.UUID("0b6b5a1e-6a5b-5b0e-9d4f-3f2f8f1f7c11")
"""The namespace of serial numbers; the name in it is the capsule's ID."""

_MAX_EXPRESSION = 500
"""The longest licence, in characters, that is looked at as an expression or taken for a name."""

_CLASSIFIED = {
    "BSD 2-Clause": "BSD-2-Clause",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}
"""The classifiers that mean one licence; "BSD License" and "Apache Software License" leave open which."""


def write_sbom(capsule: Packed, target: Target | None) -> bytes:
    """The document's bytes; ``target``, None when there is no environment, decides which dependencies hold."""
    application = Component(
        name=capsule.name,
        version=capsule.version,
        type=ComponentType.APPLICATION,
        bom_ref="capsule",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=capsule.id)],
        properties=[Property(name="capsule:hash-of", value=CONTENTS_NAME)],
    )
    parts = {distribution.name: _component(distribution) for distribution in capsule.distributions}
    bom = Bom(
        components=parts.values(),
        serial_number=uuid.uuid5(_SERIAL, capsule.id),
        metadata=BomMetaData(component=application, tools=ToolRepository(components=[_builder()])),
    )
    graph = _dependencies(capsule, target) if target else {}
    for name, part in parts.items():
        bom.register_dependency(part, [parts[other] for other in sorted(graph[name])])
    direct = [parts[name] for name in _roots(graph)]
    if capsule.interpreter is not None:
        interpreter = _interpreter(capsule)
        bom.components.add(interpreter)
        bom.register_dependency(interpreter)
        direct.append(interpreter)
    bom.register_dependency(application, direct)

    moment = capsule.metadata["build"]["time"]
    if moment is not None:
        bom.metadata.timestamp = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    if moment is None:
        del document["metadata"]["timestamp"]  # the library puts the present one in
    return encode(document)


def _builder() -> Component:
    return Component(name="capsule-builder", version=__version__, type=ComponentType.APPLICATION)


def _component(distribution: PackedDistribution) -> Component:
    locator = purl(distribution.name, distribution.version)
    return Component(
        name=distribution.name,
        version=distribution.version,
        type=ComponentType.LIBRARY,
        bom_ref=locator,
        purl=PackageURL.from_string(locator),
        description=distribution.summary or None,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=distribution.record)],
        licenses=_licenses(distribution.licenses),
        properties=[
            Property(name="capsule:hash-of", value=f"{distribution.info}/RECORD"),
            *(Property(name="capsule:wheel-tag", value=tag) for tag in distribution.facts.tags),
        ],
    )


def _interpreter(capsule: Packed) -> Component:
    return Component(
        name="cpython",
        version=capsule.python,
        type=ComponentType.PLATFORM,
        bom_ref="interpreter",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=capsule.interpreter or "")],
        properties=[Property(name="capsule:hash-of", value=f"{INTERPRETER}/")],
    )


def _licenses(stated: Licenses) -> list[License]:
    """The licences as METADATA declare them: an expression if there is one, else what comes nearest to it."""
    factory, declared = LicenseFactory(), LicenseAcknowledgement.DECLARED
    whole = stated.expression or stated.text
    if whole and len(whole) <= _MAX_EXPRESSION and "\n" not in whole:
        found = factory.make_from_string(whole, license_acknowledgement=declared)
        if stated.expression or not stated.classifiers or not getattr(found, "name", None):
            return [found]
    names = [text.rpartition("::")[2].strip() for text in stated.classifiers]
    if names := [name for name in names if name not in {"", "OSI Approved"}]:  # an expression cannot be one of many
        return [
            factory.make_with_id(_CLASSIFIED[name], acknowledgement=declared)
            if name in _CLASSIFIED
            else factory.make_with_name(name, acknowledgement=declared)
            for name in names
        ]
    if not whole:
        return []
    text = AttachedText(content=whole)
    return [factory.make_with_name("declared license", text=text, acknowledgement=declared)]


def _dependencies(capsule: Packed, target: Target) -> dict[str, set[str]]:
    """What each distribution requires of the others, with the extras that the others ask for."""
    packed = {distribution.name: distribution.facts for distribution in capsule.distributions}
    roots = tuple(Line("", 0, name, Requirement(name)) for name in packed)
    graph: dict[str, set[str]] = {name: set() for name in packed}
    for edge, found in Walk(Requirements(roots), target, lambda edge: packed.get(edge.name)).edges():
        if found and len(edge.path) > 1:
            requirer = edge.path[-2].partition("[")[0]
            graph[requirer] |= {found.name} - {requirer}
    return graph


def _roots(graph: dict[str, set[str]]) -> list[str]:
    """What the application must require itself: all that nothing else does, and one of each circle that remains."""
    roots = sorted(graph.keys() - set().union(*graph.values()))
    reached: set[str] = set()
    for name in [*roots, *sorted(graph)]:
        if name in reached:
            continue
        if name not in roots:
            roots.append(name)
        waiting = [name]
        while waiting:
            if (each := waiting.pop()) not in reached:
                reached.add(each)
                waiting += graph[each]
    return roots
