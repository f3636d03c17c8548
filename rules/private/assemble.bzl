"""The action `CapsuleAssemble`, which joins packed layers to a capsule.

The action's command line is one params file, one argument a line:

    assemble
    --letter=é              tells how Bazel encodes what is not ASCII (compat.bzl)
    --archive           then, on the next line, the path of the output; so for --id, --metadata and --listing
    --file-name         likewise: gets one line, the name that the archive has outside of Bazel
    --level=6           for the generated files
    --manifest=<path>   the manifest
    --no-verify-requirements    when nobody has to have verified the manifest's requirements file
    --stable-status     then, on the next line, Bazel's stable-status.txt; so for --volatile-status; only when stamped
    --layer=<name>      then, on four lines: owner's label, and the paths of fragment, contents and index

The layers stand in the order of the archive, the capsule's own first. Names and labels are for the metadata and for messages.
"""

load("//rules:providers.bzl", "CapsuleInfo")
load("//rules:toolchain.bzl", "TOOLCHAIN_TYPE")
load("//rules/private:compat.bzl", "builder_args", "display_label", "run_builder")

def _layer(layer):
    return ["--layer=" + layer.name, layer.owner, layer.fragment.path, layer.contents.path, layer.index.path]

def assemble(ctx, layers, files, stamped):
    """Declares the action that assembles a capsule.

    Args:
      ctx: the context of the rule `capsule`.
      layers: a depset of CapsuleLayerInfo, in the order of the archive.
      files: a depset of their Files.
      stamped: whether the metadata tell when and where the capsule was built.

    Returns:
      A pair: the CapsuleInfo, and the File that holds the archive's name outside of Bazel.
    """
    name = ctx.label.name
    capsule_info = CapsuleInfo(
        archive = ctx.actions.declare_file(name + ".tar.gz"),
        contents = ctx.actions.declare_file(name + ".contents"),
        id = ctx.actions.declare_file(name + ".id"),
        layers = layers,
        metadata = ctx.actions.declare_file(name + ".metadata.json"),
    )
    file_name = ctx.actions.declare_file(name + ".file_name")
    inputs = [ctx.file.manifest]

    args = builder_args(ctx, "assemble")
    args.add("--archive", capsule_info.archive)
    args.add("--id", capsule_info.id)
    args.add("--metadata", capsule_info.metadata)
    args.add("--listing", capsule_info.contents)
    args.add("--file-name", file_name)
    args.add(ctx.attr.compression_level, format = "--level=%s")
    args.add(ctx.file.manifest, format = "--manifest=%s")
    if not ctx.attr.verify_requirements:
        args.add("--no-verify-requirements")
    if stamped:
        args.add("--stable-status", ctx.info_file)
        args.add("--volatile-status", ctx.version_file)
        inputs += [ctx.info_file, ctx.version_file]
    args.add_all(layers, map_each = _layer)

    run_builder(
        ctx,
        TOOLCHAIN_TYPE,
        arguments = [args],
        inputs = depset(inputs, transitive = [files]),
        mnemonic = "CapsuleAssemble",
        outputs = [capsule_info.archive, capsule_info.id, capsule_info.metadata, capsule_info.contents, file_name],
        progress_message = "Assembling capsule %s" % display_label(ctx.label),
    )
    return capsule_info, file_name
