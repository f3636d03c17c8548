"""All that a BUILD file loads: the rules `capsule`, `capsule_layer` and `capsule_toolchain`, and the providers."""

load("//rules:providers.bzl", _CapsuleInfo = "CapsuleInfo", _CapsuleLayerInfo = "CapsuleLayerInfo")
load("//rules:toolchain.bzl", _CapsuleToolchainInfo = "CapsuleToolchainInfo", _capsule_toolchain = "capsule_toolchain")
load("//rules/private:capsule.bzl", _capsule = "capsule")
load("//rules/private:layer.bzl", _capsule_layer = "capsule_layer")

CapsuleInfo = _CapsuleInfo
CapsuleLayerInfo = _CapsuleLayerInfo
CapsuleToolchainInfo = _CapsuleToolchainInfo
capsule = _capsule
capsule_layer = _capsule_layer
capsule_toolchain = _capsule_toolchain
