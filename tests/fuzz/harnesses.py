"""All harnesses: what each reads, what it starts from, and how often the tests run it.

A harness is given any bytes. It ends normally, with whether they were taken, or something is wrong with the project.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.fuzz import archives, parts, texts, zips
from tests.fuzz.choices import Choices, edited

Harness = Callable[[bytes], bool]


@dataclass(frozen=True)
class Fuzzed:
    """A harness with its ``seeds`` and ``tokens``; one without seeds makes what it reads out of choices.

    ``runs`` is how often the tests run it.
    """

    harness: Harness
    runs: int
    seeds: Callable[[], Sequence[bytes]] | None = None
    tokens: Sequence[bytes] = ()

    def inputs(self, name: str, runs: int) -> list[bytes]:
        """The seeds, and then as many inputs as are wanted, the same each time."""
        draw = random.Random(name)
        seeds = list(self.seeds()) if self.seeds else [b""]
        made = list(seeds)
        while len(made) < len(seeds) + runs:
            data = draw.randbytes(draw.choice((8, 24, 64)))
            if self.seeds:
                choices = Choices(data)
                data = edited(choices, choices.pick(seeds), self.tokens)
            made.append(data)
        return made


HARNESSES: dict[str, Fuzzed] = {
    "archive": Fuzzed(archives.archive, 2500, archives.archive_seeds, archives.TAR_TOKENS),
    "forged": Fuzzed(archives.forged, 2500),
    "listing": Fuzzed(parts.listing, 4000, parts.listing_seeds, parts.LISTING_TOKENS),
    "listing-forged": Fuzzed(parts.listing_forged, 5000),
    "index": Fuzzed(parts.index, 3000),
    "metadata": Fuzzed(parts.metadata, 3000, parts.metadata_seeds, archives.TEXT_TOKENS),
    "metadata-forged": Fuzzed(parts.metadata_forged, 3000),
    "gzip": Fuzzed(parts.gzip_member, 5000),
    "program": Fuzzed(parts.program, 1000, parts.program_seeds),
    "manifest": Fuzzed(texts.manifest, 500, texts.manifest_seeds, texts.MANIFEST_TOKENS),
    "signature": Fuzzed(texts.signature, 3000, texts.signature_seeds, texts.MINISIGN_TOKENS),
    "public-key": Fuzzed(texts.public_key, 3000, texts.public_key_seeds, texts.MINISIGN_TOKENS),
    "secret-key": Fuzzed(texts.secret_key, 3000, texts.secret_key_seeds, texts.MINISIGN_TOKENS),
    "claim": Fuzzed(texts.claim, 3000, texts.claim_seeds, texts.MINISIGN_TOKENS),
    "requirements": Fuzzed(texts.requirements, 300, texts.requirements_seeds, texts.REQUIREMENTS_TOKENS),
    "patterns": Fuzzed(texts.patterns, 500, texts.patterns_seeds, texts.PATTERN_TOKENS),
    "zip": Fuzzed(zips.zip_bytes, 4000, zips.zip_seeds, zips.ZIP_TOKENS),
    "zip-forged": Fuzzed(zips.zip_forged, 4000),
    "wheel": Fuzzed(zips.wheel, 2000),
    "record": Fuzzed(zips.wheel_record, 3000, zips.wheel_record_seeds, zips.WHEEL_TOKENS),
    "entry-points": Fuzzed(zips.entry_points, 2000, zips.entry_points_seeds, zips.WHEEL_TOKENS),
    "script": Fuzzed(zips.python_script, 3000, zips.python_script_seeds, zips.WHEEL_TOKENS),
    "core-metadata": Fuzzed(zips.core, 3000, zips.core_seeds, zips.WHEEL_TOKENS),
}
