"""The rule `capsule_python_layers`, and its actions: `CapsuleWheelLayer`, `CapsulePythonBase`, `CapsuleInterpreter`.

Each action's command line is one params file, one argument a line. All three begin alike:

    wheel                   or python-base, or interpreter
    --letter=é              tells how Bazel encodes what is not ASCII (compat.bzl)
    --fragment              then, on the next line, the path of the output; so for --contents and --index
    --level=6
    --python=3.11           the Python of the hosts
    --platform=<platform>   the platform of the hosts, as pip names it

`wheel` packs one wheel as a layer, and writes down what it says of itself:

    --wheel=<path>          the wheel, which has the name that it was built with
    --facts                 then, on the next line, the path of the output: one line that `python-base` reads
    --executable=<pattern>  repeated
    --bytecode=<release>    when modules are to be compiled: the release of CPython that has to do it; empty for any
    interpreter<TAB><path><TAB><short path>     a file of the interpreter that compiles; without any, the builder's own does

`python-base` packs what belongs to no wheel, when the wheels are all that they have to be:

    --bundled               when the interpreter comes along in the capsule
    --facts                 then, on the next line, the path of what `wheel` wrote; repeated
    requirements<TAB><path><TAB><short path>    the requirements file, first, and those that it may include

`interpreter` packs the interpreter:

    --executable=<pattern>  repeated
    --bytecode=             when its library is to be compiled, by itself
    interpreter<TAB><path><TAB><short path>     one of its files

In any of these, `unfit<TAB><path>` stands in place of a line whose path holds a tab or a line break.
"""

load("//rules:providers.bzl", "CapsuleLayerInfo", "CapsulePythonInfo")
load("//rules:toolchain.bzl", "TOOLCHAIN_TYPE")
load("//rules/private:compat.bzl", "builder_args", "display_label", "run_builder")
load("//rules/private:layer.bzl", "LAYER_ATTRS")
load("//rules/private:lines.bzl", "check_attribute", "file_line")

_SDISTS = (".tar.gz", ".tar.bz2", ".tgz", ".zip")

def _interpreter(file):
    return file_line("interpreter", file.path, file.short_path)

def _requirements(file):
    return file_line("requirements", file.path, file.short_path)

def _complaint(file):
    """Says why a file cannot be a layer, or gives None."""
    if file.basename.endswith(".whl") and not file.is_directory and "-" in file.basename:
        return None
    called = display_label(file.owner)
    if not called.endswith(file.basename):
        called = "%s (%s)" % (called, file.basename)
    for suffix in _SDISTS:
        if file.basename.endswith(suffix):
            return "%s is a source distribution: build a wheel from it (pip wheel --no-deps), and name that." % called
    return "%s is not a wheel: name .whl files, or targets whose outputs they are; of a package that rules_python fetched, its :whl." % called

def _wheels(ctx):
    """Gives the wheels in their order, each once; fails for all that cannot be used."""
    found = {}
    problems = []
    for file in ctx.files.wheels:
        complaint = _complaint(file)
        other = found.get(file.basename)
        if complaint:
            problems.append(complaint)
        elif not other:
            found[file.basename] = file
        elif other != file:
            problems.append("%s and %s are both called %s: leave one of them out." % (
                display_label(other.owner),
                display_label(file.owner),
                file.basename,
            ))
    if problems:
        fail("wheels:\n  " + "\n  ".join(problems))
    return found.values()

def _check_attributes(attr):
    major, _, minor = attr.python.partition(".")
    if major != "3" or not minor.isdigit():
        fail("python: \"%s\" is not a minor version of Python 3. Write it like this: \"3.11\"." % attr.python)
    if attr.requirements_includes and not attr.requirements:
        fail("requirements_includes: there is nothing that includes them. Name that file as requirements.")
    if attr.bytecode != "none" and not attr.interpreter and not attr.bytecode_release:
        fail("bytecode: it differs between releases of Python. Say which one compiles (bytecode_release = \"%s.4\", for instance), or put an interpreter into the capsule." % attr.python)
    if attr.bytecode_release and (attr.bytecode == "none" or attr.interpreter):
        fail("bytecode_release: nothing compiles that is not in the capsule. Leave it out.")
    check_attribute("bytecode_release", [attr.bytecode_release])
    check_attribute("executables", attr.executables)
    check_attribute("platform", [attr.platform])

def _declare(ctx, name, path, verb, of = ""):
    """Declares a layer's outputs, and begins the command line that makes them; `of` is what the layer is made of."""
    prefix = "%s.layers/%s" % (ctx.label.name, path)
    layer = CapsuleLayerInfo(
        name = name,
        fragment = ctx.actions.declare_file(prefix + ".fragment"),
        contents = ctx.actions.declare_file(prefix + ".contents"),
        index = ctx.actions.declare_file(prefix + ".index"),
        owner = display_label(ctx.label) + (" (%s)" % of if of else ""),
    )
    args = builder_args(ctx, verb)
    args.add("--fragment", layer.fragment)
    args.add("--contents", layer.contents)
    args.add("--index", layer.index)
    args.add(ctx.attr.compression_level, format = "--level=%s")
    args.add(ctx.attr.python, format = "--python=%s")
    args.add(ctx.attr.platform, format = "--platform=%s")
    return layer, args

def _run(ctx, layer, args, mnemonic, progress, inputs, more_outputs = []):
    run_builder(
        ctx,
        TOOLCHAIN_TYPE,
        arguments = [args],
        inputs = inputs,
        mnemonic = mnemonic,
        outputs = [layer.fragment, layer.contents, layer.index] + more_outputs,
        progress_message = "Packing %s of %s" % (progress, display_label(ctx.label)),
    )

def _wheel_layer(ctx, wheel):
    """Declares the action for one wheel; gives its layer, and the file with its facts."""
    stem = wheel.basename[:-len(".whl")]
    layer, args = _declare(ctx, "-".join(stem.split("-")[:2]), stem, "wheel", wheel.basename)
    facts = ctx.actions.declare_file("%s.layers/%s.facts" % (ctx.label.name, stem))
    compiler = depset()
    args.add(wheel, format = "--wheel=%s")
    args.add("--facts", facts)
    args.add_all(ctx.attr.executables, format_each = "--executable=%s")
    if ctx.attr.bytecode != "none":
        args.add(ctx.attr.bytecode_release, format = "--bytecode=%s")
        if ctx.attr.interpreter:
            compiler = ctx.attr.interpreter[DefaultInfo].files
            args.add_all(compiler, map_each = _interpreter)
    inputs = depset([wheel], transitive = [compiler])
    _run(ctx, layer, args, "CapsuleWheelLayer", "wheel " + wheel.basename, inputs, [facts])
    return layer, facts

def _base_layer(ctx, facts):
    """Declares the action that checks the wheels together, and packs what belongs to none of them."""
    requirements = ctx.files.requirements + ctx.files.requirements_includes
    layer, args = _declare(ctx, "python", "python", "python-base")
    if ctx.attr.interpreter:
        args.add("--bundled")
    args.add_all(facts, before_each = "--facts")
    args.add_all(requirements, map_each = _requirements)
    _run(ctx, layer, args, "CapsulePythonBase", "Python environment", facts + requirements)
    return layer

def _interpreter_layer(ctx):
    layer, args = _declare(ctx, "interpreter", "interpreter", "interpreter", display_label(ctx.attr.interpreter.label))
    files = ctx.attr.interpreter[DefaultInfo].files
    args.add_all(ctx.attr.executables, format_each = "--executable=%s")
    if ctx.attr.bytecode != "none":
        args.add("--bytecode=")
    args.add_all(files, map_each = _interpreter)
    _run(ctx, layer, args, "CapsuleInterpreter", "interpreter", files)
    return layer

def _capsule_python_layers_impl(ctx):
    _check_attributes(ctx.attr)
    packed = [_wheel_layer(ctx, wheel) for wheel in _wheels(ctx)]
    facts = [facts for _, facts in packed]

    layers = [_base_layer(ctx, facts)]
    if ctx.attr.interpreter:
        layers.append(_interpreter_layer(ctx))
    layers += [layer for layer, _ in packed]

    files = depset([file for layer in layers for file in [layer.fragment, layer.contents, layer.index]])
    contents = depset([layer.contents for layer in layers])
    return [
        DefaultInfo(files = depset([layer.fragment for layer in layers], transitive = [contents])),
        OutputGroupInfo(
            contents = contents,
            layers = files,
        ),
        CapsulePythonInfo(
            facts = depset(facts),
            files = files,
            layers = depset(layers, order = "preorder"),
            platform = ctx.attr.platform,
            python = ctx.attr.python,
        ),
    ]

capsule_python_layers = rule(
    implementation = _capsule_python_layers_impl,
    attrs = {
        "bytecode": attr.string(
            default = "none",
            doc = """Whether modules are compiled: `unchecked-hash` (PEP 552) makes programs start faster, and the capsule
larger. The bytes depend on the sources and on the release of Python that compiles: the interpreter in the capsule, or without one
the builder's, which has to be of the release that `bytecode_release` names.""",
            values = ["none", "unchecked-hash"],
        ),
        "bytecode_release": attr.string(
            doc = """The release of Python that compiles, such as "3.11.2", where no `interpreter` comes along: another
release may give other bytes, and so another ID. A builder of another one refuses.""",
        ),
        "compression_level": LAYER_ATTRS["compression_level"],
        "executables": attr.string_list(
            doc = """Patterns, in the manner of `.gitignore`, of paths in the capsule (`venv/…`) to mark executable (0755) beyond
scripts and ELF programs, as in `capsule_layer`.""",
        ),
        "interpreter": attr.label(
            allow_files = True,
            doc = """A relocatable Python to put into the capsule, at `python/`: the files, or the directory made by an action, of a
release of python-build-standalone (the `install_only` kind). By default the capsule has none, and runs on the host's Python, at
`/opt/tori/python/<version>/bin/python<version>`.""",
        ),
        "platform": attr.string(
            default = "manylinux_2_28_x86_64",
            doc = """The platform of the hosts, as `pip download --platform` names it. A wheel for another is an error.""",
        ),
        "python": attr.string(
            doc = """The Python of the hosts, such as "3.11". A wheel for another is an error.""",
            mandatory = True,
        ),
        "requirements": attr.label(
            allow_single_file = True,
            doc = """The requirements file that the wheels have to satisfy: versions, hashes, extras, markers, over everything
that is required in turn. When the manifest's `dependencies.pip_requirements` names a file, it has to be the same one.""",
        ),
        "requirements_includes": attr.label_list(
            allow_files = True,
            doc = """Files that `requirements` includes with `-r` or `-c`.""",
        ),
        "wheels": attr.label_list(
            allow_files = True,
            doc = """The wheels: files, or targets whose outputs they are, such as `@my_wheels//:wheels` of `capsule_wheels`, or the
`:whl` of each package that rules_python fetched. Each becomes a layer of its own, in this order; one named twice counts once.""",
        ),
    },
    doc = """Makes a Python environment of wheels, at `venv/` in the capsule: one layer a wheel, and one for what belongs to none.

No pip runs and nothing is installed: wheels are read in place, and what is compressed in them is copied. A change of a wheel packs
that wheel alone, and checks all of them together again.""",
    provides = [CapsulePythonInfo],
    toolchains = [TOOLCHAIN_TYPE],
)
