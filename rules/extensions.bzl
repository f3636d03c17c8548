"""The module extension that does for MODULE.bazel what repositories.bzl does for WORKSPACE."""

load("//rules/private:python_repository.bzl", "capsule_python_repository")

_python = tag_class(
    attrs = {
        "interpreter": attr.string(
            doc = "The Python 3.10 or newer that actions run; found as the environment variable CAPSULE_PYTHON, /usr/bin/python3 or python3 by default.",
        ),
    },
    doc = "Chooses the interpreter of the default toolchain. Only the root module's choice counts.",
)

def _capsule_impl(module_ctx):
    interpreter = ""
    for module in module_ctx.modules:
        if module.is_root:
            for tag in module.tags.python:
                interpreter = tag.interpreter
    capsule_python_repository(
        name = "rules_capsule_python",
        interpreter = interpreter,
    )

capsule = module_extension(
    implementation = _capsule_impl,
    doc = "Makes the repository that the default toolchain's Python packages come from.",
    tag_classes = {"python": _python},
)
