"""Lays out executables with their runfiles, so that they run from the installed place."""

load("//rules/private:compat.bzl", "repo_mapping_of")
load("//rules/private:lines.bzl", "file_line")

def placed_lines(verb, entry, expander):
    """Gives the argument lines for one file, or one directory of files, at a stated path.

    Args:
      verb: the first word of each line.
      entry: has `path`, the stated path, and `target_file`, a File; runfiles' SymlinkEntry has this shape.
      expander: the DirectoryExpander that `map_each` is given.

    Returns:
      A list of lines.
    """
    file = entry.target_file
    if not file.is_directory:
        return [file_line(verb, file.path, entry.path)]
    below = len(file.path) + 1
    return [file_line(verb, f.path, entry.path + "/" + f.path[below:]) for f in expander.expand(file)]

def _run(file):
    return file_line("run", file.path, file.short_path)

def _runlink(entry, expander):
    return placed_lines("runlink", entry, expander)

def _runroot(entry, expander):
    return placed_lines("runroot", entry, expander)

def is_program(target):
    """Tells whether a target is an executable with runfiles.

    A plain file also claims to be runnable, and so does a filegroup of one file, with its `data` for runfiles; but
    neither made that file.

    Args:
      target: a Target.

    Returns:
      A bool.
    """
    info = target[DefaultInfo]
    executable = info.files_to_run.executable
    runfiles = info.default_runfiles
    if not executable or executable.owner != target.label or not runfiles:
        return False
    return bool(runfiles.files or runfiles.symlinks or runfiles.root_symlinks)

def add_program(args, target, destination = ""):
    """Adds the argument lines for an executable's runfiles.

    `empty_filenames` is left out: those are `__init__.py` files that old Bazels invent and new ones do not, and
    Python has done without them since 3.3. The MANIFEST is left out: it holds paths of the machine that built it.

    Args:
      args: the Args to add to.
      target: the executable target.
      destination: where the executable itself goes, when not to its own place.

    Returns:
      A depset of the Files that the lines name.
    """
    info = target[DefaultInfo]
    runfiles = info.default_runfiles
    mapping = repo_mapping_of(info.files_to_run)
    args.add(file_line("binary", info.files_to_run.executable.short_path, destination))
    args.add_all(runfiles.files, map_each = _run)
    args.add_all(runfiles.symlinks, map_each = _runlink)
    args.add_all(runfiles.root_symlinks, map_each = _runroot)
    if mapping:
        args.add_all([struct(path = "_repo_mapping", target_file = mapping)], map_each = _runroot)

    # The one place that flattens depsets: a runfiles symlink carries its file where no depset of files does.
    # There are few of them, while files and runfiles may be many thousands and stay unflattened.
    linked = [entry.target_file for entry in runfiles.symlinks.to_list() + runfiles.root_symlinks.to_list()]
    return depset(
        [info.files_to_run.executable] + linked + ([mapping] if mapping else []),
        transitive = [runfiles.files],
    )
