"""What a WORKSPACE file calls."""

load("//rules/private:python_repository.bzl", "capsule_python_repository")
load("//rules/private:wheels_repository.bzl", _capsule_wheels = "capsule_wheels")

capsule_wheels = _capsule_wheels

def rules_capsule_dependencies(interpreter = ""):
    """Declares what the default toolchain needs, and what SBOMs and signing do; each is fetched when it is used.

    Args:
      interpreter: the absolute path of the Python 3.10 or newer that actions run; found as the environment
        variable CAPSULE_PYTHON, /usr/bin/python3 or python3 by default.
    """
    if not native.existing_rule("rules_capsule_python"):
        capsule_python_repository(
            name = "rules_capsule_python",
            interpreter = interpreter,
        )
    if not native.existing_rule("rules_capsule_sbom"):
        capsule_python_repository(
            name = "rules_capsule_sbom",
            interpreter = interpreter,
            lock = Label("//requirements:sbom.txt"),
            purpose = "sbom",
        )
    if not native.existing_rule("rules_capsule_signing"):
        capsule_python_repository(
            name = "rules_capsule_signing",
            interpreter = interpreter,
            purpose = "signing",
        )

# buildifier: disable=unnamed-macro
def rules_capsule_toolchains():
    """Registers the default toolchain. A toolchain that is registered before it has precedence."""
    native.register_toolchains("@rules_capsule//rules:python_toolchain")
