"""The repository rule `capsule_wheels`: the locked wheels of one Python version and one platform."""

load("//rules/private:compat.bzl", "display_label")
load("//rules/private:host_python.bzl", "CLEAN", "other_pip", "probe_python")

_REQUIREMENTS = "requirements.txt"
_LOG = "pip.log"
_ABSENT = "No matching distribution found for "

WHEELS_ATTRS = {
    "platform": attr.string(
        default = "manylinux_2_28_x86_64",
        doc = """The platform of the hosts, as `pip download --platform` names it. Older ones that it takes are included.""",
    ),
    "python": attr.string(
        doc = """The Python of the hosts, such as "3.11".""",
        mandatory = True,
    ),
    "requirements_lock": attr.label(
        allow_single_file = True,
        doc = """A requirements file that locks every release by `==` and by hashes, as `uv pip compile --generate-hashes` and
`pip-compile --generate-hashes` write it. Lines whose markers do not hold on the target are left out.""",
        mandatory = True,
    ),
}

def _builder(repository_ctx, python, verb, arguments):
    """Runs `capsule_builder.requirements.fetch` for the lock, and gives what it prints."""
    lock = repository_ctx.attr.requirements_lock
    source = repository_ctx.path(repository_ctx.attr._fetch).dirname.dirname.dirname
    site = str(repository_ctx.path(repository_ctx.attr._interpreter).dirname) + "/site"
    result = repository_ctx.execute(
        [
            python.executable,
            "-sSBXutf8",
            "-m",
            "capsule_builder.requirements.fetch",
            verb,
            repository_ctx.path(lock),
            (lock.package + "/" if lock.package else "") + lock.name,
            repository_ctx.attr.python,
            repository_ctx.attr.platform,
        ] + arguments,
        environment = {"PYTHONHOME": "", "PYTHONPATH": "%s:%s" % (source, site)},
    )
    if result.return_code:
        fail("capsule_wheels(name = \"%s\"):\n%s" % (repository_ctx.name, result.stderr))
    return result.stdout

def _pip(repository_ctx, python):
    """Gives the beginning of pip's command line. It runs for the target, so that any Python's pip will do."""
    if python.has_pip:
        return [python.executable, "-m", "pip"]
    pip = other_pip(repository_ctx)
    if not pip:
        fail("capsule_wheels needs pip: %s has none, and there is no pip3 on PATH. Install it (Debian: apt-get install python3-pip), or name an interpreter that has it with --repo_env=CAPSULE_PYTHON=/path/to/python3." % python.executable)
    return [pip]

def _without(repository_ctx, absent):
    """Takes a distribution out of the requirements file; tells whether it was there."""
    lines = repository_ctx.read(_REQUIREMENTS).splitlines()
    kept = [line for line in lines if line.split(" ")[0] != absent]
    repository_ctx.file(_REQUIREMENTS, "".join([line + "\n" for line in kept]), executable = False)
    return len(kept) < len(lines)

def _download(repository_ctx, python, target):
    """Downloads into `wheels`. Pip stops at the first distribution that it cannot find: here all of them are found out."""
    command = _pip(repository_ctx, python) + ["download", "--disable-pip-version-check", "--no-input", "--quiet", "--log", _LOG]
    command += ["--dest", "wheels", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", _REQUIREMENTS] + target
    absent = []
    for _ in repository_ctx.read(_REQUIREMENTS).splitlines():
        result = repository_ctx.execute(command, environment = CLEAN, timeout = 3600)
        if result.return_code == 0:
            break
        found = [line.split(_ABSENT)[1].split(" ")[0] for line in result.stderr.splitlines() if _ABSENT in line]
        if not found or not _without(repository_ctx, found[0]):
            fail("capsule_wheels(name = \"%s\"): pip could not download the wheels of %s:\n%s" % (
                repository_ctx.name,
                display_label(repository_ctx.attr.requirements_lock),
                result.stderr,
            ))
        absent.append(found[0])
    if absent:
        _builder(repository_ctx, python, "explain", [_LOG] + absent)

def _capsule_wheels_impl(repository_ctx):
    stated = repository_ctx.read(repository_ctx.attr._interpreter).strip()
    python = probe_python(repository_ctx, stated)
    if not python:
        fail("capsule_wheels needs Python 3.10 or newer, and %s does not run any more. `bazel sync --configure` (from Bazel 7 on `bazel fetch --configure`) looks for another." % stated)
    target = _builder(repository_ctx, python, "plan", [_REQUIREMENTS]).splitlines()
    _download(repository_ctx, python, target)
    repository_ctx.delete(_LOG)
    repository_ctx.file("BUILD", _builder(repository_ctx, python, "check", ["wheels"]), executable = False)

def _private(attrs):
    attrs = dict(attrs)
    attrs.update({
        "_fetch": attr.label(default = Label("//capsule_builder:requirements/fetch.py")),
        "_interpreter": attr.label(default = Label("@rules_capsule_python//:interpreter")),
    })
    return attrs

capsule_wheels = repository_rule(
    implementation = _capsule_wheels_impl,
    attrs = _private(WHEELS_ATTRS),
    doc = """Fetches exactly the wheels of a lock, for one Python version and one platform, with this host's pip: where from,
your own configuration of pip says. `:wheels` is all of them; each is also there by its distribution's name, `:ruamel-yaml` and `:ruamel_yaml`.
Nothing of the target's Python is run, so that a Mac fetches for Linux. It is fetched again when the lock changes.""",
)
