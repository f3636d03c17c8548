"""All that a BUILD file loads: the macro `capsule`, the rules `capsule_layer`, `capsule_python_layers` and `capsule_toolchain`, and the providers."""

load("//rules:providers.bzl", _CapsuleInfo = "CapsuleInfo", _CapsuleLayerInfo = "CapsuleLayerInfo", _CapsulePythonInfo = "CapsulePythonInfo")
load("//rules:toolchain.bzl", _CapsuleProgramInfo = "CapsuleProgramInfo", _CapsuleToolchainInfo = "CapsuleToolchainInfo", _capsule_toolchain = "capsule_toolchain")
load("//rules/private:capsule.bzl", _capsule = "capsule")
load("//rules/private:layer.bzl", _capsule_layer = "capsule_layer")
load("//rules/private:python_layers.bzl", _capsule_python_layers = "capsule_python_layers")
load("//rules/private:sign.bzl", "capsule_sign")

CapsuleInfo = _CapsuleInfo
CapsuleLayerInfo = _CapsuleLayerInfo
CapsuleProgramInfo = _CapsuleProgramInfo
CapsulePythonInfo = _CapsulePythonInfo
CapsuleToolchainInfo = _CapsuleToolchainInfo
capsule_layer = _capsule_layer
capsule_python_layers = _capsule_python_layers
capsule_toolchain = _capsule_toolchain

# What `<name>.sign` has in common with the capsule.
_FORWARDED = [
    "compatible_with",
    "deprecation",
    "features",
    "restricted_to",
    "target_compatible_with",
    "testonly",
    "visibility",
]

def capsule(name, **kwargs):
    """Builds a capsule: one application as one immutable `tar.gz`, named by the SHA-256 of its content.

    `bazel build` makes `<name>.tar.gz`, `<name>.id`, `<name>.metadata.json` and `<name>.contents`;
    `bazel build --output_groups=provenance,sbom` makes `<name>.provenance.json` and `<name>.cdx.json`;
    `bazel run <name> -- --output-dir DIR` copies the archive out under its real name;
    `bazel run <name>.sign -- --key KEY --output-dir DIR` does so with its signature beside it.

    Args:
      name: the name of the capsule's target. `<name>.sign` is tagged `manual`: `//...` leaves it out.
      **kwargs: the attributes of the rule `capsule` in rules/private/capsule.bzl.
    """
    _capsule(name = name, **kwargs)
    capsule_sign(
        name = name + ".sign",
        capsule = ":" + name,
        tags = (kwargs.get("tags") or []) + ["manual"],
        **{key: kwargs[key] for key in _FORWARDED if key in kwargs}
    )
