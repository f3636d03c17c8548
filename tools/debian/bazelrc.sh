#!/bin/sh
# Prints the lines of a .bazelrc that give Debian's Bazel 4.2.3 the repositories that it lacks, and quiet. See README.md beside this file.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
for command in build fetch query sync; do
    for repository in rules_cc rules_java remote_coverage_tools; do
        echo "$command --override_repository=$repository=$here/$repository"
    done
done

# Debian's own bazelrc, which is read before this one, says --sandbox_debug.
echo 'build --nosandbox_debug'
