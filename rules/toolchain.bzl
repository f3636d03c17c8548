"""The toolchain: which program packs the layers and assembles the capsules."""

# Bazel 4 reads a plain "//rules:..." here as a label of the main repository, so the label is completed first.
TOOLCHAIN_TYPE = str(Label("//rules:toolchain_type"))

CapsuleToolchainInfo = provider(
    doc = "The program that the rules' actions run.",
    fields = {
        "builder": "FilesToRunProvider: the program. Its command line is described at the top of rules/private/layer.bzl and assemble.bzl.",
        "files": "depset of File: the program's default outputs, which actions find at their own paths and not only as runfiles.",
    },
)

def _capsule_toolchain_impl(ctx):
    return [platform_common.ToolchainInfo(
        capsule = CapsuleToolchainInfo(
            builder = ctx.attr.builder[DefaultInfo].files_to_run,
            files = ctx.attr.builder[DefaultInfo].files,
        ),
    )]

capsule_toolchain = rule(
    implementation = _capsule_toolchain_impl,
    doc = """Names the program that packs and assembles. Wrap it in a `toolchain` of the type
`@rules_capsule//rules:toolchain_type` and register that before `rules_capsule_toolchains()` to replace the default.""",
    attrs = {
        "builder": attr.label(
            cfg = "exec",
            doc = "Any executable that understands the command line of the actions. It runs on the execution platform.",
            executable = True,
            mandatory = True,
        ),
    },
)
