"""The target `<name>.sign`: at `bazel run` it signs the capsule `<name>` and copies it out. No action ever sees a key."""

load("//rules:providers.bzl", "CapsuleInfo")
load("//rules/private:python_builder.bzl", "shebang")

CapsuleSignerInfo = provider(
    doc = "What the command that signs is made of.",
    fields = {
        "files": "depset of File: the sources of `capsule_builder` and the packages that it imports.",
        "interpreter": "string: the absolute path of Python 3.10 or newer on the host of whoever signs.",
        "path": "list of string: the directories that Python imports from, relative to the main repository's in a runfiles tree.",
    },
)

_LAUNCHER = """{shebang}
import os
import sys

if sys.version_info < (3, 10):
    sys.exit("ERROR: signing needs Python 3.10 or newer, and {interpreter} is " + sys.version.split()[0])

# `bazel run` makes a runfiles tree beside this script; where it is itself a part of another program's, it lies in that.
script = os.path.abspath(sys.argv[0])
tree = script + ".runfiles"
if not os.path.isdir(tree):
    tree = script.rpartition(".runfiles" + os.sep)[0] + ".runfiles"
main = os.path.join(tree, {workspace})
sys.path[:0] = [os.path.normpath(os.path.join(main, part)) for part in {path}]
try:
    from capsule_builder.cli import sign
except ImportError as error:
    sys.exit(
        f"ERROR: signing cannot start with {interpreter}, Python {{sys.version.split()[0]}}: {{error}}\\n"
        "  Its packages may be for another version: `bazel sync --configure` (from Bazel 7 on `bazel fetch --configure`) gets the right ones."
    )

archive = os.path.join(main, {archive})
os.chdir(os.environ.get("BUILD_WORKING_DIRECTORY", "."))  # what users name lies where they are
sys.exit(sign.main(sys.argv[1:], archive))
"""

def _capsule_signer_impl(ctx):
    path = []
    for target, directory in [(ctx.attr.builder, ""), (ctx.attr.site, ctx.attr.site_directory)]:
        # "external/<repository>", and "../<repository>" in a runfiles tree; nothing for the main one.
        parts = [".."] + target.label.workspace_root.split("/")[1:] if target.label.workspace_root else []
        path.append("/".join(parts + ([directory] if directory else [])) or ".")
    return [CapsuleSignerInfo(
        files = depset(transitive = [ctx.attr.builder[DefaultInfo].files, ctx.attr.site[DefaultInfo].files]),
        interpreter = ctx.attr.interpreter,
        path = path,
    )]

capsule_signer = rule(
    implementation = _capsule_signer_impl,
    attrs = {
        "builder": attr.label(
            doc = "All sources of the Python package `capsule_builder`, which lies at the root of its repository.",
            mandatory = True,
        ),
        "interpreter": attr.string(
            doc = "The absolute path of Python 3.10 or newer on the host of whoever signs.",
            mandatory = True,
        ),
        "site": attr.label(
            doc = "The packages that it imports, source files of one repository.",
            mandatory = True,
        ),
        "site_directory": attr.string(
            doc = "The directory of that repository that they are imported from.",
        ),
    },
    doc = "Names what the command that signs is made of.",
)

def _capsule_sign_impl(ctx):
    signer = ctx.attr._signer[CapsuleSignerInfo]
    archive = ctx.attr.capsule[CapsuleInfo].archive
    launcher = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(
        content = _LAUNCHER.format(
            archive = repr(archive.short_path),
            interpreter = signer.interpreter,
            path = repr(signer.path),
            shebang = shebang(signer.interpreter),
            workspace = repr(ctx.workspace_name),
        ),
        is_executable = True,
        output = launcher,
    )
    return [DefaultInfo(
        executable = launcher,
        files = depset([launcher]),
        runfiles = ctx.runfiles([archive], transitive_files = signer.files),
    )]

capsule_sign = rule(
    implementation = _capsule_sign_impl,
    attrs = {
        "capsule": attr.label(
            doc = "The `capsule` to sign.",
            mandatory = True,
            providers = [CapsuleInfo],
        ),
        "_signer": attr.label(
            default = Label("//rules/signing:signer"),
            providers = [CapsuleSignerInfo],
        ),
    },
    doc = """Signs a capsule, when it is run: `bazel run <target> -- --key KEY --output-dir DIR` copies the archive out under its
real name, with its `.minisig` beside it. The key and its password are read by that process alone, on the user's host.""",
    executable = True,
)
