"""Whether a target is stamped: by its own attribute, or by `--stamp` on the command line."""

StampFlagInfo = provider(
    doc = "Whether Bazel was called with --stamp.",
    fields = {"enabled": "bool: True with --stamp"},
)

def _stamp_flag_impl(ctx):
    return [StampFlagInfo(enabled = ctx.attr.enabled)]

# No Bazel before 6 lets a rule ask for --stamp; a `select` on a `config_setting` can, everywhere.
stamp_flag = rule(
    implementation = _stamp_flag_impl,
    attrs = {"enabled": attr.bool(doc = "A select on `values = {\"stamp\": \"1\"}`.", mandatory = True)},
    doc = "Carries the value of --stamp to rules.",
)

STAMP_ATTRS = {
    "stamp": attr.int(
        default = -1,
        doc = """Whether the metadata tell when and on which host the capsule was built: 1 always, 0 never, -1 with `--stamp`. The
ID is the same either way. In an unstamped capsule both are null, so that the same inputs give the same bytes.""",
        values = [-1, 0, 1],
    ),
    "_stamp_flag": attr.label(
        default = Label("//rules/private:stamp_flag"),
        providers = [StampFlagInfo],
    ),
}

def is_stamped(ctx):
    """Tells whether the target that is being analysed is stamped.

    Args:
      ctx: the context of a rule with STAMP_ATTRS.

    Returns:
      A bool.
    """
    if ctx.attr.stamp == -1:
        return ctx.attr._stamp_flag[StampFlagInfo].enabled
    return ctx.attr.stamp == 1
