#!/bin/sh
# Verifies a capsule with tar, gzip, sha256sum and minisign alone: sh verify.sh FILE [PUBLIC_KEY [DIRECTORY]]
#
# PUBLIC_KEY is a minisign public key file; without one the signature is not checked ("" if only DIRECTORY is wanted).
# With DIRECTORY, which must not exist, the capsule is left there. Prints the ID.
# Exit status: 0 everything holds; 2 wrong usage; 3 cannot be read; 4 not a capsule, or damaged; 5 no signature;
# 6 wrong signature. GNU tar and coreutils, or busybox.
set -eu
export LC_ALL=C

refuse() { # STATUS MESSAGE
    echo "verify: $2" >&2
    exit "$1"
}

[ $# -ge 1 ] && [ $# -le 3 ] || refuse 2 "usage: verify.sh FILE [PUBLIC_KEY [DIRECTORY]]"
file=$1 key=${2:-} keep=${3:-}
case $file in -*) file=./$file ;; esac
[ -f "$file" ] && [ -r "$file" ] || refuse 3 "cannot read $file"
[ -z "$keep" ] || [ ! -e "$keep" ] || refuse 2 "exists already: $keep"
work=$(mktemp -d "${keep:-${TMPDIR:-/tmp}/capsule}.XXXXXX") || refuse 3 "cannot make a directory"
work=$(cd "$work" && pwd)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
umask 022

comment=
if [ -n "$key" ]; then
    [ -r "$key" ] || refuse 3 "cannot read $key"
    [ -f "$file.minisig" ] || refuse 5 "no signature: $file.minisig"
    comment=$(minisign -V -Q -p "$key" -m "$file" 2>/dev/null) || refuse 6 "wrong signature: $file.minisig"
fi

gzip -t -- "$file" 2>/dev/null || refuse 4 "damaged, or no gzip: $file"
mkdir "$work/d"
tar -xzf "$file" -C "$work/d" 2>/dev/null || refuse 4 "damaged, or no tar: $file"
cd "$work/d"
[ -f .capsule_contents ] && [ ! -L .capsule_contents ] || refuse 4 "no capsule: it has no listing"
[ "$(head -n 1 .capsule_contents)" = "# capsule-contents v1" ] || refuse 4 "no capsule: its listing has another form"
grep -v '^#' .capsule_contents >../sums || :
grep -qvE '^[0-9a-f]{64} [ *].' ../sums && refuse 4 "no capsule: its listing has another form"
[ ! -s ../sums ] || sha256sum -c ../sums >/dev/null 2>&1 || refuse 4 "not what its listing says"

# Nothing that is not listed, and every link, mode and empty directory as it is listed.
find . ! -name . ! -path './.capsule_*' | while IFS= read -r path; do
    if [ -L "$path" ]; then printf '# symlink\t%s\t%s\n' "${path#./}" "$(readlink "$path")"
    elif [ -d "$path" ]; then [ -n "$(ls -A "$path")" ] || printf '# dir\t%s\n' "${path#./}"
    elif [ -x "$path" ]; then printf '*%s\n' "${path#./}"
    else printf ' %s\n' "${path#./}"; fi
done | sort >../found
sed -e '1d' -e '/^# /!s/^.\{65\}//' .capsule_contents | sort | cmp -s - ../found ||
    refuse 4 "has other files, links or modes than its listing"
id=$(sha256sum .capsule_contents | cut -d ' ' -f 1)
grep -q "^  \"id\": \"$id\",\$" .capsule_metadata.json || refuse 4 "its metadata claim another ID than $id"
[ -z "$comment" ] || [ "${comment##* }" = "id=$id" ] || refuse 6 "the signature is that of another capsule: $comment"
cd - >/dev/null
[ -z "$keep" ] || mv "$work/d" "$keep" || refuse 3 "cannot write $keep"
echo "$id"
