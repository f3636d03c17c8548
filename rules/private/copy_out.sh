#!/bin/sh
# Copies the capsule that was built beside this script out of Bazel's tree, under its real name.
set -eu

usage() {
    cat <<'END'
usage: bazel run TARGET -- [--output-dir DIR]

Copies the capsule to DIR/capsule-<name>-<short id>.tar.gz.

  --output-dir DIR  where to put it; made when it does not exist; the current directory by default
  --help            show this text
END
}

refuse() {
    printf 'ERROR: %s\n' "$1" >&2
    usage >&2
    exit 2
}

output_dir=.
while [ $# -gt 0 ]; do
    case $1 in
        --output-dir)
            [ $# -ge 2 ] || refuse '--output-dir needs a directory'
            output_dir=$2
            shift 2
            ;;
        --output-dir=*)
            output_dir=${1#--output-dir=}
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) refuse "unknown argument: $1" ;;
    esac
done
[ -n "$output_dir" ] || refuse '--output-dir needs a directory'

# bazel-bin holds the outputs beside this script, and so does a runfiles tree. Where only this script was put elsewhere
# with its runfiles, they are in these, the only ones of their kind.
built=$0
if [ ! -e "$built.file_name" ]; then
    built=$(find -L "$0.runfiles" -name '*.file_name')
    built=${built%.file_name}
fi
archive=$built.tar.gz
read -r file_name <"$built.file_name"
read -r id <"$built.id"

# Bazel runs this script elsewhere; a relative directory means the user's own.
case $output_dir in
    /*) ;;
    *) output_dir=${BUILD_WORKING_DIRECTORY:-.}/$output_dir ;;
esac
case $output_dir in
    */.) output_dir=${output_dir%/.} ;;
esac
mkdir -p "$output_dir"
file=$output_dir/$file_name

# The copy has its final name only when it is whole. Making the file first gives it the user's umask, not Bazel's 0555.
partial=$output_dir/.$file_name.$$.partial
trap 'rm -f "$partial"' EXIT
trap 'exit 1' HUP INT TERM
: >"$partial"
cp "$archive" "$partial"
mv -f "$partial" "$file"

size=$(($(wc -c <"$file")))
hundredths=$(((size + 5000) / 10000))
printf '\342\234\205 Capsule built successfully: %s\n' "$file"
printf '   BUILD_SHA: %s\n' "$id"
printf '   Size: %d.%02d MB\n' $((hundredths / 100)) $((hundredths % 100))
