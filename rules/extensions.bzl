"""The module extension that does for MODULE.bazel what repositories.bzl does for WORKSPACE."""

load("//rules/private:python_repository.bzl", "capsule_python_repository")
load("//rules/private:wheels_repository.bzl", "WHEELS_ATTRS", "capsule_wheels")

_python = tag_class(
    attrs = {
        "interpreter": attr.string(
            doc = "The Python 3.10 or newer that actions run; found as the environment variable CAPSULE_PYTHON, /usr/bin/python3 or python3 by default.",
        ),
    },
    doc = "Chooses the interpreter of the default toolchain. Only the root module's choice counts.",
)

def _named(attrs):
    attrs = dict(attrs)
    attrs["name"] = attr.string(
        doc = "The name of the repository.",
        mandatory = True,
    )
    return attrs

_wheels = tag_class(
    attrs = _named(WHEELS_ATTRS),
    doc = "Fetches the wheels of a lock, as `capsule_wheels` of repositories.bzl does.",
)

def _declare_wheels(modules):
    owners = {}
    for module in modules:
        for tag in module.tags.wheels:
            if tag.name in owners:
                fail("capsule.wheels(name = \"%s\") stands in %s and in %s. Give one of them another name." % (
                    tag.name,
                    owners[tag.name],
                    module.name,
                ))
            owners[tag.name] = module.name
            capsule_wheels(
                name = tag.name,
                platform = tag.platform,
                python = tag.python,
                requirements_lock = tag.requirements_lock,
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
    capsule_python_repository(
        name = "rules_capsule_sbom",
        interpreter = interpreter,
        lock = Label("//requirements:sbom.txt"),
        purpose = "sbom",
    )
    capsule_python_repository(
        name = "rules_capsule_signing",
        interpreter = interpreter,
        purpose = "signing",
    )
    _declare_wheels(module_ctx.modules)

capsule = module_extension(
    implementation = _capsule_impl,
    doc = "Makes the repositories that the Python packages of the default toolchain, of SBOMs and of signing come from, and those with the wheels of locks.",
    tag_classes = {
        "python": _python,
        "wheels": _wheels,
    },
)
