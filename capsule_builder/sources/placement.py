"""Where a Bazel target's files go in a capsule. Pure: paths in, paths out (``docs/rules.md``, "Where files go")."""

from __future__ import annotations

from typing import NamedTuple

from capsule_builder.errors import refusal


class Placement(NamedTuple):
    """A target's ``package_dir``, its ``strip_prefix`` seen from the repository root, and the workspace's name.

    ``strict`` when the user gave the prefix, so that a file outside it is a mistake.
    """

    package_dir: str
    strip_prefix: str
    strict: bool
    workspace_name: str

    def source(self, short_path: str) -> str:
        """The place of a file that Bazel calls ``short_path``; the name of its repository is left out.

        Raises:
            CapsuleError: it lies outside a prefix that was asked for.
        """
        path = short_path.split("/", 2)[2] if short_path.startswith("../") else short_path
        prefix = self.strip_prefix + "/" if self.strip_prefix else ""
        if path.startswith(prefix):
            path = path[len(prefix) :]
        elif self.strict:
            raise refusal(
                "prefix-outside",
                f"File is not below strip_prefix {self.strip_prefix}: {path}",
                "Place it with renames, or in a capsule_layer of its own.",
            )
        return self.below(path)

    def below(self, path: str) -> str:
        """A path below ``package_dir``."""
        return f"{self.package_dir}/{path}" if self.package_dir else path

    def runfile(self, short_path: str) -> str:
        """The place of a runfile in its runfiles tree: ``<workspace>/<path>``, or ``<repository>/<path>``."""
        return short_path[3:] if short_path.startswith("../") else f"{self.workspace_name}/{short_path}"
