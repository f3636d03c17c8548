"""The toolchain: which programs pack the layers, assemble the capsules, and say what is in them."""

# Bazel 4 reads a plain "//rules:..." here as a label of the main repository, so the label is completed first.
TOOLCHAIN_TYPE = str(Label("//rules:toolchain_type"))

CapsuleProgramInfo = provider(
    doc = "A program that the rules' actions run.",
    fields = {
        "executable": "FilesToRunProvider: the program.",
        "files": "depset of File: the program's default outputs, which actions find at their own paths and not only as runfiles.",
        "supports_workers": "bool: whether it can run as a persistent worker.",
    },
)

CapsuleToolchainInfo = provider(
    doc = "The programs that the rules' actions run. Their command lines are described at the top of the named files in rules/private.",
    fields = {
        "builder": "CapsuleProgramInfo: what packs and assembles (layer.bzl, python_layers.bzl, assemble.bzl).",
        "provenance": "CapsuleProgramInfo: what says where a capsule comes from (statements.bzl).",
        "sbom": "CapsuleProgramInfo: what says what is in a capsule (statements.bzl).",
    },
)

def _program(target, supports_workers = False):
    return CapsuleProgramInfo(
        executable = target[DefaultInfo].files_to_run,
        files = target[DefaultInfo].files,
        supports_workers = supports_workers,
    )

def _capsule_toolchain_impl(ctx):
    builder = ctx.attr.builder
    return [platform_common.ToolchainInfo(
        capsule = CapsuleToolchainInfo(
            builder = _program(builder, ctx.attr.supports_workers),
            provenance = _program(ctx.attr.provenance or builder),
            sbom = _program(ctx.attr.sbom or builder),
        ),
    )]

capsule_toolchain = rule(
    implementation = _capsule_toolchain_impl,
    doc = """Names the programs that pack, assemble and say what is in capsules. Wrap it in a `toolchain` of the type
`@rules_capsule//rules:toolchain_type` and register that before `rules_capsule_toolchains()` to replace the default.""",
    attrs = {
        "builder": attr.label(
            cfg = "exec",
            doc = "Any executable that understands the command line of the actions. It runs on the execution platform.",
            executable = True,
            mandatory = True,
        ),
        "provenance": attr.label(
            cfg = "exec",
            doc = "Likewise for the output group `provenance`; `builder` by default.",
            executable = True,
        ),
        "sbom": attr.label(
            cfg = "exec",
            doc = "Likewise for the output group `sbom`; `builder` by default.",
            executable = True,
        ),
        "supports_workers": attr.bool(
            doc = """Whether `builder`, called with the one argument `--persistent_worker`, answers one `WorkRequest` of Bazel's after
the other on its standard input (the protocol `proto`). What it is asked is the same; Bazel has read the params file.""",
        ),
    },
)
