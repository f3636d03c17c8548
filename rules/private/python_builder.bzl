"""The default programs of the toolchain: modules of `capsule_builder`, run by a Python interpreter of the host."""

_LAUNCHER = """{shebang}
import gc
import sys

if sys.version_info < (3, 10):
    sys.exit("ERROR: the capsule builder needs Python 3.10 or newer, and {interpreter} is " + sys.version.split()[0])
sys.path[:0] = {path}
gc.disable()  # it would search all modules and entries again and again, and find nothing; a worker collects between actions
try:
    from {module} import main
except ImportError as error:
    sys.exit(
        f"ERROR: the capsule builder cannot start with {interpreter}, Python {{sys.version.split()[0]}}: {{error}}\\n"
        "  Its packages may be for another version: `bazel sync --configure` (from Bazel 7 on `bazel fetch --configure`) gets the right ones."
    )

sys.exit(main(sys.argv[1:]))
"""

# In its place, when what it needs could not be had.
_UNAVAILABLE = """{shebang}
import sys

sys.exit("ERROR: " + {problem} + "\\n  `bazel sync --configure` (from Bazel 7 on `bazel fetch --configure`) tries again.")
"""

# -I and -S keep out the user's environment and site-packages, -B writes nothing, and UTF-8 holds whatever the locale.
_FLAGS = "-ISBXutf8"

def shebang(interpreter):
    """Gives the first line, or lines, of a script that an interpreter runs by itself.

    Args:
      interpreter: its absolute path.

    Returns:
      The text, without a line end.
    """
    if " " not in interpreter and len(interpreter) < 100:
        return "#!%s %s" % (interpreter, _FLAGS)

    # The kernel takes no spaces and no long paths: sh reads the second line as a command, Python as a string.
    return "#!/bin/sh\n'''exec' \"%s\" %s \"$0\" \"$@\"\n' '''" % (interpreter, _FLAGS)

def _python_builder_impl(ctx):
    # The sources are inputs at their own paths, not runfiles: below the execution root these are the same in a sandbox,
    # on this host and on a remote one, and no configuration is part of them.
    path = []
    for target, directory in [(ctx.attr.builder, "")] + [(site, ctx.attr.site_directory) for site in ctx.attr.sites]:
        parts = [part for part in [target.label.workspace_root, directory] if part]
        path.append("/".join(parts) or ".")

    launcher = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(
        content = (_UNAVAILABLE if ctx.attr.problem else _LAUNCHER).format(
            interpreter = ctx.attr.interpreter,
            module = ctx.attr.module,
            path = repr(path),
            problem = repr(ctx.attr.problem),
            shebang = shebang(ctx.attr.interpreter),
        ),
        is_executable = True,
        output = launcher,
    )
    return [DefaultInfo(
        executable = launcher,
        files = depset([launcher], transitive = [
            target[DefaultInfo].files
            for target in [ctx.attr.builder] + ctx.attr.sites
        ]),
    )]

python_builder = rule(
    implementation = _python_builder_impl,
    attrs = {
        "builder": attr.label(
            doc = "The sources of the Python package `capsule_builder`, which lies at the root of its repository.",
            mandatory = True,
        ),
        "interpreter": attr.string(
            doc = "The absolute path of Python 3.10 or newer on the machines where actions run.",
            mandatory = True,
        ),
        "module": attr.string(
            default = "capsule_builder.actions.main",
            doc = "The module whose `main` gets the arguments.",
        ),
        "problem": attr.string(
            doc = "When it cannot run: why, and what to do. It is told by whatever action calls it.",
        ),
        "site_directory": attr.string(
            doc = "The directory of the repositories of `sites` that they are imported from.",
        ),
        "sites": attr.label_list(
            doc = "The packages that it imports, each the source files of one repository.",
            mandatory = True,
        ),
    },
    doc = "A launcher that runs the builder's sources where they lie. It needs no PATH, no HOME and no installed package.",
    executable = True,
)
