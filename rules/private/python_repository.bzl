"""The repositories `@rules_capsule_python`, `@rules_capsule_sbom` and `@rules_capsule_signing`: an interpreter of the host, and the packages that it imports."""

load("//rules/private:host_python.bzl", "CLEAN", "other_pip", "probe_python")

# The packages of the lock that actions import, and of these the files: no metadata and no bytecode, so that whoever
# fetches this for one version of Python, the inputs are the same.
_PACKAGES = ["deflate", "installer", "packaging", "pyyaml"]
_FILES = [
    "site/deflate/*.py",
    "site/deflate/*.so",
    "site/installer/**/*.py",
    "site/packaging/**/*.py",
    "site/yaml/*.py",
]

# For signing; some of those above are imported then, too.
_SIGNING_PACKAGES = ["cffi", "pynacl"]
_SIGNING_FILES = [
    "site/_cffi_backend*.so",
    "site/cffi/*.py",
    "site/nacl/**/*.py",
    "site/nacl/*.so",
]

# For SBOMs, beside those above: these lie in a repository of their own, and have a lock of their own.
_SBOM_FILES = [
    "site/boolean/*.py",
    "site/cyclonedx/**/*.py",
    "site/cyclonedx/schema/_res/spdx.SNAPSHOT.schema.json",
    "site/defusedxml/*.py",
    "site/license_expression/*.py",
    "site/license_expression/data/scancode-licensedb-index.json",
    "site/packageurl/**/*.py",
    "site/py_serializable/*.py",
    "site/sortedcontainers/*.py",
    "site/typing_extensions.py",
]

_DEFS = '''"""Written by rules_capsule."""

INTERPRETER = {interpreter}

# Why there is nothing in the site directory; nothing, where there is.
PROBLEM = {problem}

SITE_DIRECTORY = "site"
'''

_BUILD = """filegroup(
    name = "site",
    srcs = glob(
        {files},
        allow_empty = True,
    ),
    visibility = ["//visibility:public"],
)
"""

def _find_python(repository_ctx):
    stated = repository_ctx.attr.interpreter or repository_ctx.os.environ.get("CAPSULE_PYTHON", "")
    if stated:
        found = probe_python(repository_ctx, stated)
        if not found:
            fail("%s, which was stated as the interpreter of the capsule builder, is not a Python 3.10 or newer that runs. %s" % (
                stated,
                "State another in WORKSPACE or MODULE.bazel (interpreter = \"/path/to/python3\")." if repository_ctx.attr.interpreter else "Install it, or name another with --repo_env=CAPSULE_PYTHON=/path/to/python3.",
            ))
        return found

    # /usr/bin/python3 first: remote workers and other developers have it at the same place.
    for candidate in ["/usr/bin/python3", repository_ctx.which("python3")]:
        if candidate and repository_ctx.path(candidate).exists:
            found = probe_python(repository_ctx, candidate)
            if found:
                return found
    fail("The capsule builder needs Python 3.10 or newer. Neither /usr/bin/python3 nor python3 on PATH is one: install it, or name it with --repo_env=CAPSULE_PYTHON=/path/to/python3.")

def _locked(text, packages):
    """Gives the part of a lock file that concerns some packages, with its hashes."""
    kept = []
    keep = False
    for line in text.splitlines():
        if line and not line.startswith(" ") and not line.startswith("#"):
            keep = line.split("==")[0].lower() in packages
        if keep:
            kept.append(line)
    return "\n".join(kept) + "\n"

def _installers(repository_ctx, python):
    """Gives the beginnings of the command lines that may install for that interpreter, best first."""
    if python.has_pip:
        return [[python.executable, "-m", "pip"]]
    pip = other_pip(repository_ctx)
    return [[pip, "--python", python.executable]] if pip else []

def _contents(repository_ctx):
    """Gives what to install, as a requirements file, and the patterns of the files that are wanted of it."""
    locked = repository_ctx.read(repository_ctx.attr.lock)
    if repository_ctx.attr.purpose == "sbom":
        return locked, _SBOM_FILES
    if repository_ctx.attr.purpose == "signing":
        return _locked(locked, _PACKAGES + _SIGNING_PACKAGES), _FILES + _SIGNING_FILES
    return _locked(locked, _PACKAGES), _FILES

def _install(repository_ctx, python, requirements):
    """Installs into `site`; gives what went wrong, or nothing."""
    repository_ctx.file("requirements.txt", requirements, executable = False)
    what = ["--no-deps", "--require-hashes", "--target", "site", "-r", "requirements.txt"]
    pip_options = ["--disable-pip-version-check", "--no-compile", "--no-input", "--only-binary", ":all:", "--quiet"]
    attempts = [installer + ["install"] + pip_options + what for installer in _installers(repository_ctx, python)]
    uv = repository_ctx.which("uv")
    if uv:
        attempts.append([uv, "pip", "install", "--only-binary", ":all:", "--python", python.executable, "--quiet"] + what)
    problems = []
    for attempt in attempts:
        repository_ctx.delete("site")
        result = repository_ctx.execute(attempt, environment = CLEAN, timeout = 600)
        if result.return_code == 0:
            return ""
        problems.append("%s:\n%s" % (" ".join([str(word) for word in attempt]), result.stderr))
    repository_ctx.delete("site")
    return "The capsule builder's Python packages%s could not be installed for %s (Python %s).\n%s" % (
        " for SBOMs" if repository_ctx.attr.purpose == "sbom" else "",
        python.executable,
        python.version,
        "\n".join(problems) if problems else "It has no pip, and neither pip3 nor uv is on PATH. Install pip for it (Debian: apt-get install python3-pip), or name an interpreter that has it with --repo_env=CAPSULE_PYTHON=/path/to/python3.",
    )

def _capsule_python_repository_impl(repository_ctx):
    python = _find_python(repository_ctx)
    requirements, files = _contents(repository_ctx)
    problem = _install(repository_ctx, python, requirements)

    # Bazel asks for what writes SBOMs whenever a capsule is analysed: only who wants one is to hear that it is missing.
    if problem and repository_ctx.attr.purpose != "sbom":
        fail(problem)
    repository_ctx.file("BUILD", _BUILD.format(files = repr(files)), executable = False)
    repository_ctx.file("interpreter", python.executable + "\n", executable = False)
    repository_ctx.file("defs.bzl", _DEFS.format(
        interpreter = repr(python.base),
        problem = repr(problem),
    ), executable = False)

capsule_python_repository = repository_rule(
    implementation = _capsule_python_repository_impl,
    attrs = {
        "interpreter": attr.string(
            doc = "The interpreter that actions run. By default the environment variable CAPSULE_PYTHON, else /usr/bin/python3, else python3 on PATH.",
        ),
        "lock": attr.label(
            default = Label("//requirements:builder.txt"),
            doc = "The lock file, with hashes.",
        ),
        "purpose": attr.string(
            default = "builder",
            doc = "What imports the packages: the actions, signing, or, beside what the actions import, what writes SBOMs.",
            values = ["builder", "sbom", "signing"],
        ),
    },
    configure = True,
    doc = """Finds a Python interpreter and installs the builder's locked packages beside it, from wherever the user's own
configuration of pip says. `bazel sync --configure`, from Bazel 7 on `bazel fetch --configure`, makes it look again.""",
    environ = ["CAPSULE_PYTHON"],
)
