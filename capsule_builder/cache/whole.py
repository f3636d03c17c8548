"""A layer that is kept whole: one out of a wheel or another ZIP, whose streams are copied as they are."""

from __future__ import annotations

import hashlib
import os
import struct
from typing import BinaryIO

from capsule_builder.cache.fragment import CachedFragment
from capsule_builder.cache.record import Group
from capsule_builder.cache.store import Store
from capsule_builder.layer import LayerFiles, LayerInput

_CHUNK = 1 << 20
_LENGTH = struct.Struct("<Q")


def whole_key(layer: LayerInput, about: str, *, maker: bytes, level: int) -> str:
    """What a layer is kept under: ``about`` is all that decides it beside the level and the code, its ``maker``."""
    return hashlib.sha256(maker + repr((layer.name, about, layer.verified, level)).encode()).hexdigest()


def recall_whole(key: str, files: LayerFiles, store: Store) -> CachedFragment | None:
    """Does what :func:`capsule_builder.layer.write_layer` does, but for the fragment, which lies in the cache.

    The blob's part of the index is the listing, after its length, and the layer's index.
    """
    store.touch(key)
    found = store.find(key)
    if not found:
        return None
    blob, kept = found
    (length,) = _LENGTH.unpack_from(kept)
    files.contents.write(kept[_LENGTH.size : _LENGTH.size + length])
    files.index.write(kept[_LENGTH.size + length :])
    return CachedFragment(store, None, [Group(0, b"", blob.size, blob)])


def keep_whole(key: str, files: LayerFiles, store: Store) -> CachedFragment | None:
    """Keeps a layer that has been written; gives its fragment when it lies in the cache then."""
    if new := store.new():
        try:
            files.fragment.seek(0)
            while chunk := files.fragment.read(_CHUNK):
                new.write(chunk)
            listing, index = (_all(file) for file in (files.contents, files.index))
            blob = new.commit(key, _LENGTH.pack(len(listing)) + listing + index)
            return CachedFragment(store, None, [Group(0, b"", blob.size, blob)])
        except OSError as error:
            store.failed(error)
        finally:
            new.cancel()
            files.fragment.seek(0, os.SEEK_END)
    return None


def _all(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()
