"""All that a BUILD file loads: the rules `capsule`, `capsule_layer`, `capsule_python_layers` and `capsule_toolchain`, and the providers."""

load("//rules:providers.bzl", _CapsuleInfo = "CapsuleInfo", _CapsuleLayerInfo = "CapsuleLayerInfo", _CapsulePythonInfo = "CapsulePythonInfo")
load("//rules:toolchain.bzl", _CapsuleToolchainInfo = "CapsuleToolchainInfo", _capsule_toolchain = "capsule_toolchain")
load("//rules/private:capsule.bzl", _capsule = "capsule")
load("//rules/private:layer.bzl", _capsule_layer = "capsule_layer")
load("//rules/private:python_layers.bzl", _capsule_python_layers = "capsule_python_layers")

CapsuleInfo = _CapsuleInfo
CapsuleLayerInfo = _CapsuleLayerInfo
CapsulePythonInfo = _CapsulePythonInfo
CapsuleToolchainInfo = _CapsuleToolchainInfo
capsule = _capsule
capsule_layer = _capsule_layer
capsule_python_layers = _capsule_python_layers
capsule_toolchain = _capsule_toolchain
