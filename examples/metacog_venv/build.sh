#!/bin/sh
# Builds the capsule of ../metacog without Bazel: venv, pip, capsbuild.
#
#     sh build.sh [ARCHIVE]    (default: capsule-<name>-<first 12 digits of the ID>.tar.gz, here)
set -eu
app=$(cd "$(dirname "$0")/../metacog" && pwd)
venv=$(mktemp -d)
trap 'rm -rf "$venv"' EXIT

python3.11 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
    -r "$app/requirements_nodb.txt"
capsbuild --from-dir "$app" --venv "$venv" ${1:+--output "$1"}
