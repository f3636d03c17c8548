"""The rule `capsule`: its own layer, the assembly, and the statements about it."""

load("//rules:providers.bzl", "CapsuleInfo", "CapsuleLayerInfo", "CapsulePythonInfo")
load("//rules:toolchain.bzl", "TOOLCHAIN_TYPE")
load("//rules/private:assemble.bzl", "assemble")
load("//rules/private:layer.bzl", "LAYER_ATTRS", "pack_layer")
load("//rules/private:stamp.bzl", "STAMP_ATTRS", "is_stamped")
load("//rules/private:statements.bzl", "declare_statements")

_OWN_ATTRS = {
    "layers": attr.label_list(
        doc = """The `capsule_layer`s and `capsule_python_layers` to include, in this order behind the capsule's own. The same path
in two layers is fine when the content is the same too; otherwise it is an error that names both.""",
        providers = [[CapsuleLayerInfo], [CapsulePythonInfo]],
    ),
    "lock": attr.label(
        allow_single_file = True,
        doc = """The lock of the Python environment, a requirements file. With it the output groups `provenance` and `sbom` are
refused unless the capsule holds exactly what it pins, and was packed of the wheels whose hashes it has. The capsule itself
does not depend on it.""",
    ),
    "manifest": attr.label(
        allow_single_file = True,
        doc = """The manifest, which becomes `capsule.yml` at the top of the capsule, whatever the file is called here.""",
        mandatory = True,
    ),
    "verify_requirements": attr.bool(
        default = True,
        doc = """Whether the requirements file that the manifest names has to be one that the Python environment was verified
against, by the `requirements` of its `capsule_python_layers`. The metadata say `unverified` when this is off.""",
    ),
    "_launcher": attr.label(
        allow_single_file = True,
        default = Label("//rules/private:copy_out.sh"),
    ),
}

def _merge(*dicts):
    merged = {}
    for each in dicts:
        merged.update(each)
    return merged

def _files(layer):
    return [layer.fragment, layer.contents, layer.index]

def _with_layers(app, targets):
    """Gives depsets, so that capsules share what they have of one environment: the layers in their order, and their Files."""
    environments = [target[CapsulePythonInfo] for target in targets if CapsulePythonInfo in target]
    single = [target[CapsuleLayerInfo] for target in targets if CapsulePythonInfo not in target]
    layers = depset([app], order = "preorder", transitive = [
        target[CapsulePythonInfo].layers if CapsulePythonInfo in target else depset([target[CapsuleLayerInfo]], order = "preorder")
        for target in targets
    ])
    files = depset(
        [file for layer in [app] + single for file in _files(layer)],
        transitive = [environment.files for environment in environments],
    )
    return layers, files

def _capsule_impl(ctx):
    name = ctx.label.name
    app = pack_layer(ctx, "app", name + ".layers/app", manifest = ctx.file.manifest)
    layers, files = _with_layers(app, ctx.attr.layers)
    capsule_info, file_name = assemble(ctx, layers, files, stamped = is_stamped(ctx))

    # A copy: nothing is substituted.
    launcher = ctx.actions.declare_file(name)
    ctx.actions.expand_template(
        is_executable = True,
        output = launcher,
        substitutions = {},
        template = ctx.file._launcher,
    )
    return [
        DefaultInfo(
            executable = launcher,
            files = depset([capsule_info.archive, capsule_info.id, capsule_info.metadata, capsule_info.contents]),
            runfiles = ctx.runfiles([capsule_info.archive, capsule_info.id, file_name]),
        ),
        OutputGroupInfo(
            contents = depset([capsule_info.contents]),
            id = depset([capsule_info.id]),
            layers = files,
            metadata = depset([capsule_info.metadata]),
            **declare_statements(ctx, capsule_info.archive)
        ),
        capsule_info,
    ]

capsule = rule(
    implementation = _capsule_impl,
    attrs = _merge(LAYER_ATTRS, STAMP_ATTRS, _OWN_ATTRS),
    doc = """Builds a capsule: one application as one immutable `tar.gz`, named by the SHA-256 of its content.

`bazel build` makes `<name>.tar.gz`, `<name>.id`, `<name>.metadata.json` and `<name>.contents`;
`bazel build <target> --output_groups=provenance,sbom` says what is in it, in `<name>.provenance.json` and `<name>.cdx.json`;
`bazel run <target> -- --output-dir DIR` copies the archive out under its real name.""",
    executable = True,
    provides = [CapsuleInfo],
    toolchains = [TOOLCHAIN_TYPE],
)
