"""Every difference between Bazel versions that the rules know of, and nothing else."""

# From Bazel 6 on an action says which toolchain its tool comes from. `native.package_relative_label` arrived
# just after that parameter, so that where it exists, the parameter does.
_ACTIONS_NAME_THEIR_TOOLCHAIN = hasattr(native, "package_relative_label")

_REQUIREMENTS = {"supports-path-mapping": "1"}

# Of the two protocols of workers, proto needs no flag in any version, and is taken where none is named. The same processes
# serve all kinds of actions, in the versions that know the second key.
_WORKER_REQUIREMENTS = {
    "supports-path-mapping": "1",
    "supports-workers": "1",
    "worker-key-mnemonic": "Capsule",
}

def run_builder(ctx, toolchain_type, program = "builder", **kwargs):
    """Runs a program of a toolchain in an action, in a persistent worker if it can be one.

    Args:
      ctx: the rule's context.
      toolchain_type: the label, as a string, of the toolchain's type.
      program: which one, a field of CapsuleToolchainInfo.
      **kwargs: what `ctx.actions.run` takes.
    """
    if _ACTIONS_NAME_THEIR_TOOLCHAIN:
        kwargs["toolchain"] = Label(toolchain_type)
    chosen = getattr(ctx.toolchains[toolchain_type].capsule, program)
    ctx.actions.run(
        executable = chosen.executable,
        execution_requirements = _WORKER_REQUIREMENTS if chosen.supports_workers else _REQUIREMENTS,
        tools = chosen.files,
        **kwargs
    )

def display_label(label):
    """Gives a label as people write it; newer Bazels print `@@//a:b` for `//a:b`.

    Args:
      label: a Label.

    Returns:
      The label as text, for messages only.
    """
    text = str(label)
    for prefix in ["@@//", "@//"]:
        if text.startswith(prefix):
            return text[len(prefix) - 2:]
    return text

def repo_mapping_of(files_to_run):
    """Gives the file that maps apparent repository names for an executable's runfiles library.

    Args:
      files_to_run: the FilesToRunProvider of an executable.

    Returns:
      A File, or None: before Bazel 7, and without bzlmod, there is none.
    """
    return getattr(files_to_run, "repo_mapping_manifest", None)

# One letter beyond ASCII. Up to some version (4.2 is one) Bazel keeps the bytes of a name as Latin-1 and encodes them
# once more when it writes a params file; the builder sees by this letter whether it has to undo that.
_LETTER = "é"

def builder_args(ctx, verb):
    """Begins the command line of the builder: one params file, one argument a line.

    Bazel reads the file itself for a persistent worker, and takes a line that begins with `@` for another such file (not
    a label: `@repo//a:b`). So what may begin so stands on its option's line, as in `--manifest=%s`.

    Args:
      ctx: the rule's context.
      verb: the first argument.

    Returns:
      An Args to add to.
    """
    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("@%s", use_always = True)
    args.add(verb)
    args.add("--letter=" + _LETTER)
    return args
