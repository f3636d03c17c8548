"""The public providers: what a capsule, a layer and a Python environment offer to other rules."""

CapsuleLayerInfo = provider(
    doc = "One packed layer: a part of a capsule that is built, cached and copied as a whole.",
    fields = {
        "contents": "File: the layer's own listing in the format of `.capsule_contents`. Its SHA-256 is the layer's digest.",
        "fragment": "File: gzip members that hold whole tar entries, without the end-of-archive blocks. A capsule copies it byte for byte.",
        "index": "File: where each entry lies in the fragment. Its format is private to the builder of the toolchain.",
        "name": "string: the name that the capsule's metadata and messages give the layer.",
        "owner": "string: what messages call the layer: the label of its target; of a wheel's, its file name too.",
    },
)

CapsulePythonInfo = provider(
    doc = "A Python environment as layers.",
    fields = {
        "facts": "depset of File: what each wheel says of itself, with its hash. Their format is private to the builder of the toolchain.",
        "files": "depset of File: the three files of each of `layers`.",
        "layers": "depset of CapsuleLayerInfo (preorder): what belongs to no wheel first, then the interpreter if it comes along, then one a wheel.",
        "platform": "string: the platform that it is for, such as \"manylinux_2_28_x86_64\".",
        "python": "string: the Python that it is for, such as \"3.11\".",
    },
)

CapsuleInfo = provider(
    doc = "One assembled capsule.",
    fields = {
        "archive": "File: the capsule, a `tar.gz`.",
        "contents": "File: the listing of all content, the same bytes as `.capsule_contents` in the archive.",
        "id": "File: the capsule's ID, 64 hexadecimal digits and a newline: the SHA-256 of `contents`.",
        "layers": "depset of CapsuleLayerInfo (preorder): the layers in the order of the archive; the first one, `app`, is the capsule's own.",
        "metadata": "File: the same bytes as `.capsule_metadata.json` in the archive.",
    },
)
