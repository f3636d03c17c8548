"""Rules that make what the tests pack."""

def _tree_impl(ctx):
    tree = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        arguments = [tree.path, ctx.attr.another_file],
        command = "mkdir -p $1/in/deep && echo one >$1/in/deep/one.txt && echo two >$1/two.txt && printf '#!/bin/sh\\necho three\\n' >$1/in/three.sh && if [ \"$2\" ]; then echo more >\"$1/$2\"; fi",
        outputs = [tree],
    )
    return [DefaultInfo(
        files = depset([tree]),
        runfiles = ctx.runfiles([tree]),
    )]

tree = rule(
    implementation = _tree_impl,
    attrs = {"another_file": attr.string(doc = "The name of one file more.")},
    doc = "Makes a directory.",
)

def _bare_tree_impl(ctx):
    tree = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        arguments = [tree.path],
        command = "cd $1 && mkdir empty real && echo one >real/one.txt && ln -s " + ("real" if ctx.attr.linked else "real/one.txt") + " link",
        outputs = [tree],
    )
    return [DefaultInfo(files = depset([tree]))]

bare_tree = rule(
    implementation = _bare_tree_impl,
    attrs = {"linked": attr.bool(doc = "Whether its link leads to a directory, and not to a file.")},
    doc = "Makes a directory that holds an empty one and a link.",
)

def _aside_impl(ctx):
    program = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(
        content = "#!/bin/sh\necho aside\n",
        is_executable = True,
        output = program,
    )
    note = ctx.actions.declare_file(ctx.label.name + ".note")
    ctx.actions.write(
        content = "note\n",
        output = note,
    )
    return [DefaultInfo(
        executable = program,
        files = depset([note]),
    )]

aside = rule(
    implementation = _aside_impl,
    doc = "A program that its rule leaves out of the outputs.",
    executable = True,
)

def _program_impl(ctx):
    program = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(
        content = "#!/bin/sh\ncd \"$0.runfiles\" && find -L . -type f -name '*.t*' | LC_ALL=C sort && cat shop/linked/words.txt at_the_root/words.txt\n",
        is_executable = True,
        output = program,
    )
    links = {"linked/words.txt": ctx.file.words, "linked/tree": ctx.files.tree[0]}
    return [DefaultInfo(
        executable = program,
        runfiles = ctx.runfiles(
            root_symlinks = {"at_the_root/words.txt": ctx.file.words},
            symlinks = links,
        ),
    )]

program = rule(
    implementation = _program_impl,
    attrs = {
        "tree": attr.label(mandatory = True),
        "words": attr.label(allow_single_file = True, mandatory = True),
    },
    doc = "A program whose runfiles are links.",
    executable = True,
)
