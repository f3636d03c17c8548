"""The actions `CapsuleProvenance` and `CapsuleSbom`, which say what was packed; they run for those who ask for their outputs.

Each action's command line is one params file, one argument a line:

    provenance              or sbom
    --letter=é              tells how Bazel encodes what is not ASCII (compat.bzl)
    --archive               then, on the next line, the path of the finished capsule
    --output                then, on the next line, the path of the output
    --platform=<platform>   the platform of the hosts, as pip names it; only when the capsule has a Python environment

and, only when there is a lock, which the capsule has to meet:

    --facts                 then, on the next line, the path of what a wheel says of itself (python_layers.bzl); repeated
    requirements<TAB><path><TAB><short path>    the lock; `unfit<TAB><path>` when a path holds a tab or a line break
"""

load("//rules:providers.bzl", "CapsulePythonInfo")
load("//rules:toolchain.bzl", "TOOLCHAIN_TYPE")
load("//rules/private:compat.bzl", "builder_args", "display_label", "run_builder")
load("//rules/private:lines.bzl", "file_line")

def _requirements(file):
    return file_line("requirements", file.path, file.short_path)

def _declare(ctx, verb, suffix, mnemonic, progress, archive):
    output = ctx.actions.declare_file(ctx.label.name + suffix)
    environments = [target[CapsulePythonInfo] for target in ctx.attr.layers if CapsulePythonInfo in target]
    inputs = depset([archive])
    args = builder_args(ctx, verb)
    args.add("--archive", archive)
    args.add("--output", output)
    if environments:
        args.add(environments[0].platform, format = "--platform=%s")
    if ctx.file.lock:
        facts = depset(transitive = [environment.facts for environment in environments])
        args.add_all(facts, before_each = "--facts")
        args.add_all([ctx.file.lock], map_each = _requirements)
        inputs = depset([archive, ctx.file.lock], transitive = [facts])
    run_builder(
        ctx,
        TOOLCHAIN_TYPE,
        verb,
        arguments = [args],
        inputs = inputs,
        mnemonic = mnemonic,
        outputs = [output],
        progress_message = "%s of capsule %s" % (progress, display_label(ctx.label)),
    )
    return output

def declare_statements(ctx, archive):
    """Declares the actions that say what was packed.

    Args:
      ctx: the context of the rule `capsule`.
      archive: the File of the finished capsule.

    Returns:
      A dict: for each output group a depset of its file.
    """
    return {
        verb: depset([_declare(ctx, verb, suffix, mnemonic, progress, archive)])
        for verb, suffix, mnemonic, progress in [
            ("provenance", ".provenance.json", "CapsuleProvenance", "Writing the provenance"),
            ("sbom", ".cdx.json", "CapsuleSbom", "Writing the SBOM"),
        ]
    }
