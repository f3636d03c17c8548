"""The rule `capsule_layer`, and the action `CapsuleLayer` that it shares with `capsule`.

The action's command line is one params file, one argument a line:

    layer
    --letter=é              tells how Bazel encodes what is not ASCII (compat.bzl)
    --fragment              then, on the next line, the path of the output; so for --contents and --index
    --level=6
    --workspace-name=<name> the directory of the main repository in runfiles trees
    --package-dir=<path>    where everything goes; empty for the top of the capsule
    --strip-prefix=<dir>    relative to the repository's root; empty for the root
    --strict-prefix         when a file outside of that directory is an error
    --manifest=<path>       the manifest; only in a capsule's own layer
    --executable=<pattern>  repeated
    --symlink=<path><TAB><target>       repeated; the path is below the package dir
    --empty-dir=<path>                  repeated; below the package dir
    src<TAB><path><TAB><short path>     a file that goes to its own place
    rename<TAB><path><TAB><destination> a file that goes to a stated place below the package dir
    binary<TAB><short path><TAB><destination or nothing>    the executable that the following lines belong to
    run<TAB><path><TAB><short path>     a file of its runfiles: "a/b" of the main repository, or "../repo/a/b"
    runlink<TAB><path><TAB><link path>  a symlink of its runfiles, relative to the main repository's directory
    runroot<TAB><path><TAB><link path>  a root symlink of its runfiles, relative to their root
    unfit<TAB><path>                    in place of one of these, when the path holds a tab or a line break: with \\t and \\n for them

A file may be named by several lines for one destination; different content for one destination is an error. Tree
artifacts have been expanded by Bazel, so that every path is a file's.
"""

load("//rules:providers.bzl", "CapsuleLayerInfo")
load("//rules:toolchain.bzl", "TOOLCHAIN_TYPE")
load("//rules/private:compat.bzl", "builder_args", "display_label", "run_builder")
load("//rules/private:lines.bzl", "check_attribute", "file_line")
load("//rules/private:runfiles.bzl", "add_program", "is_program", "placed_lines")

LAYER_ATTRS = {
    "compression_level": attr.int(
        default = 6,
        doc = """How hard to compress, 1 (fast) to 12 (small). It changes the bytes of the archive, never the ID.""",
        values = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    ),
    "empty_dirs": attr.string_list(
        doc = """Empty directories to make, as paths below `package_dir`. Directories that hold something need no mention.""",
    ),
    "executables": attr.string_list(
        doc = """Patterns, in the manner of `.gitignore`, of paths in the capsule to mark executable (0755). Scripts that begin
with `#!` and ELF programs are marked without being named. The bits of the files on disk are never read.""",
    ),
    "package_dir": attr.string(
        doc = """The directory in the capsule under which everything of this target goes. The top of the capsule by default.""",
    ),
    "renames": attr.label_keyed_string_dict(
        allow_files = True,
        doc = """Exact places: a label, and the path below `package_dir` where its one output goes. An output that is a
directory goes there with all that it holds, an executable with its runfiles beside it. A label that stands here need not
stand in `srcs`; when it stands in both, this one counts.""",
    ),
    "srcs": attr.label_list(
        allow_files = True,
        doc = """Files, directories made by actions, and executables. A file goes to `package_dir` plus its path in its
repository with `strip_prefix` removed; a file of another repository likewise, by its path there. An executable is
accompanied by its runfiles, in `<executable>.runfiles` beside it, so that it runs from where the capsule is installed.""",
    ),
    "strip_prefix": attr.string(
        doc = """The directory to remove from the front of the files' paths. By default it is the package of this target, and a
file outside of it keeps its whole path. A value is relative to this package (`.` is the package itself), or with a
leading `/` to the root of the repository; then a file outside of it is an error.""",
    ),
    "symlinks": attr.string_dict(
        doc = """Symbolic links: the link's path below `package_dir`, and the text that it holds, relative to the link's own directory.""",
    ),
}

def _src(file):
    return file_line("src", file.path, file.short_path)

def _rename(entry, expander):
    return placed_lines("rename", entry, expander)

def _symlink(link):
    path, text = link
    return "%s\t%s" % (_join(path), text)

def _join(*parts):
    segments = []
    for part in parts:
        for segment in part.split("/"):
            if segment == "..":
                fail("\"..\" has no place in \"%s\"" % part)
            if segment not in ["", "."]:
                segments.append(segment)
    return "/".join(segments)

def _strip_prefix(ctx):
    value = ctx.attr.strip_prefix
    return _join(value) if value.startswith("/") else _join(ctx.label.package, value)

def _check_attributes(attr):
    check_attribute("empty_dirs", attr.empty_dirs)
    check_attribute("executables", attr.executables)
    check_attribute("package_dir", [attr.package_dir])
    check_attribute("renames", attr.renames.values())
    check_attribute("strip_prefix", [attr.strip_prefix])
    check_attribute("symlinks", attr.symlinks.keys() + attr.symlinks.values())

def _add_renames(args, renames):
    """Adds the argument lines for `renames` and gives the depsets of their inputs."""
    entries = []
    inputs = []
    for target, path in renames.items():
        destination = _join(path)
        if is_program(target):
            entries.append(struct(path = destination, target_file = target[DefaultInfo].files_to_run.executable))
            inputs.append(add_program(args, target, destination))
            continue
        files = target[DefaultInfo].files.to_list()
        if len(files) != 1:
            fail("renames: %s has %d outputs, and only one can go to \"%s\". Name a target with one output, or give the files a capsule_layer with its own package_dir and strip_prefix." % (
                display_label(target.label),
                len(files),
                destination,
            ))
        entries.append(struct(path = destination, target_file = files[0]))
        inputs.append(target[DefaultInfo].files)
    args.add_all(entries, map_each = _rename)
    return inputs

def pack_layer(ctx, name, prefix, manifest = None):
    """Declares the action that packs one layer from the attributes of LAYER_ATTRS.

    Args:
      ctx: the context of a rule with LAYER_ATTRS and the capsule toolchain.
      name: the layer's name in the metadata.
      prefix: what the names of the outputs begin with.
      manifest: the File to place as capsule.yml, whose patterns of executables apply.

    Returns:
      A CapsuleLayerInfo.
    """
    _check_attributes(ctx.attr)
    layer = CapsuleLayerInfo(
        name = name,
        fragment = ctx.actions.declare_file(prefix + ".fragment"),
        contents = ctx.actions.declare_file(prefix + ".contents"),
        index = ctx.actions.declare_file(prefix + ".index"),
        owner = display_label(ctx.label),
    )
    renamed = {target.label: True for target in ctx.attr.renames}
    srcs = [target for target in ctx.attr.srcs if target.label not in renamed]

    # A rule may leave its executable out of its files.
    programs = [target for target in srcs if is_program(target)]
    files = depset(
        [target[DefaultInfo].files_to_run.executable for target in programs],
        transitive = [target[DefaultInfo].files for target in srcs],
    )

    args = builder_args(ctx, "layer")
    args.add("--fragment", layer.fragment)
    args.add("--contents", layer.contents)
    args.add("--index", layer.index)
    args.add(ctx.attr.compression_level, format = "--level=%s")
    args.add(ctx.workspace_name, format = "--workspace-name=%s")
    args.add(_join(ctx.attr.package_dir), format = "--package-dir=%s")
    args.add(_strip_prefix(ctx), format = "--strip-prefix=%s")
    if ctx.attr.strip_prefix:
        args.add("--strict-prefix")
    if manifest:
        args.add(manifest, format = "--manifest=%s")
    args.add_all(ctx.attr.executables, format_each = "--executable=%s")
    args.add_all(ctx.attr.symlinks.items(), map_each = _symlink, format_each = "--symlink=%s")
    args.add_all([_join(path) for path in ctx.attr.empty_dirs], format_each = "--empty-dir=%s")
    args.add_all(files, map_each = _src)
    inputs = [files] + _add_renames(args, ctx.attr.renames)
    inputs += [add_program(args, target) for target in programs]

    run_builder(
        ctx,
        TOOLCHAIN_TYPE,
        arguments = [args],
        inputs = depset([manifest] if manifest else [], transitive = inputs),
        mnemonic = "CapsuleLayer",
        outputs = [layer.fragment, layer.contents, layer.index],
        progress_message = "Packing layer %s of %s" % (name, layer.owner) if manifest else "Packing layer %s" % layer.owner,
    )
    return layer

def _capsule_layer_impl(ctx):
    layer = pack_layer(ctx, ctx.label.name, ctx.label.name)
    return [
        DefaultInfo(files = depset([layer.fragment, layer.contents])),
        OutputGroupInfo(
            contents = depset([layer.contents]),
            layers = depset([layer.fragment, layer.contents, layer.index]),
        ),
        layer,
    ]

capsule_layer = rule(
    implementation = _capsule_layer_impl,
    attrs = LAYER_ATTRS,
    doc = """Packs a part of a capsule that changes on its own: dependencies, configuration, data.

A layer is compressed once and copied into every capsule that names it, so that a change elsewhere costs it nothing. How
content is divided into layers does not change a capsule's ID.""",
    provides = [CapsuleLayerInfo],
    toolchains = [TOOLCHAIN_TYPE],
)
