"""What repository rules know of the Pythons of this host."""

_PROBE = """
import importlib.util, sys
own = sys.prefix == sys.base_prefix
base = sys.executable if own else getattr(sys, "_base_executable", None) or sys.executable
print("%d.%d" % sys.version_info[:2], int(sys.version_info >= (3, 10)), int(importlib.util.find_spec("pip") is not None))
print(sys.executable)
print(base)
"""

# The host's pip, and nothing of the environment that Bazel was called from but pip's own configuration.
CLEAN = {"PYTHONHOME": "", "PYTHONPATH": ""}

def probe_python(repository_ctx, python):
    """Asks an interpreter about itself.

    Args:
      repository_ctx: the context of a repository rule.
      python: its path.

    Returns:
      A struct with `executable`, `base` (what a virtual environment is made from), `has_pip` and `version`; None when
      it does not run or is too old.
    """
    result = repository_ctx.execute([python, "-c", _PROBE], environment = CLEAN)
    lines = result.stdout.splitlines()
    if result.return_code or len(lines) != 3:
        return None
    version, new_enough, has_pip = lines[0].split(" ")
    if new_enough == "0":
        return None
    return struct(
        base = lines[2],
        executable = lines[1],
        has_pip = has_pip == "1",
        version = version,
    )

def other_pip(repository_ctx):
    """Finds a pip that belongs to whatever Python.

    Args:
      repository_ctx: the context of a repository rule.

    Returns:
      Its path, or None.
    """
    return repository_ctx.which("pip3") or repository_ctx.which("pip")
