#!/bin/sh
# Verifies a capsule with tar, gzip, sha256sum and minisign alone, and prints its ID: sh verify.sh FILE [PUBLIC_KEY [DIRECTORY]]
# PUBLIC_KEY is a minisign public key file; without one, or with -, no signature is checked. With DIRECTORY, which must not
# exist, the capsule is left there. Exit status: 0 everything holds; 2 wrong usage; 3 cannot be read; 4 not a capsule, or
# damaged; 5 no signature; 6 wrong signature. GNU tar and coreutils, or busybox.
set -eu
export LC_ALL=C
unset TAR_OPTIONS GZIP POSIXLY_CORRECT
refuse() { echo "verify: $2" >&2; exit "$1"; }                     # STATUS MESSAGE
place() { case $1 in '' | /*) echo "$1" ;; *) echo "./$1" ;; esac; } # so that no name is taken for an option or a host

[ $# -ge 1 ] && [ $# -le 3 ] && [ -n "${2-x}" ] && [ -n "${3-x}" ] || refuse 2 "usage: verify.sh FILE [PUBLIC_KEY [DIRECTORY]]"
file=$(place "$1") key=${2:--} keep=$(place "${3:-}") comment='' here=$(pwd)
[ -f "$file" ] && [ -r "$file" ] || refuse 3 "cannot read $1"
[ ! -e "$keep" ] && [ ! -L "$keep" ] || refuse 2 "exists already: $3"
work=$(mktemp -d "${keep:-$(place "${TMPDIR:-/tmp}")/capsule}.XXXXXX") && work=$(cd "$work" && pwd) || refuse 3 "cannot make a directory"
trap 'chmod -R u+rwX "$work" && rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
umask 022
if [ "$key" != - ]; then
    [ -r "$key" ] && command -v minisign >/dev/null || refuse 3 "cannot read $key, or no minisign"
    [ -f "$file.minisig" ] || refuse 5 "no signature: $file.minisig"
    comment=$(minisign -V -Q -p "$key" -m "$file" 2>/dev/null) || refuse 6 "wrong signature: $file.minisig"
fi
gzip -t -- "$file" 2>/dev/null || refuse 4 "damaged, or no gzip: $file"
mkdir "$work/d"
tar -xzof "$file" -C "$work/d" 2>/dev/null || refuse 4 "damaged, or no tar: $file"
cd "$work/d"
[ -z "$(find . ! -type l ! \( -type d -perm 755 \) ! \( -type f -links 1 \( -perm 644 -o -perm 755 \) \))" ] ||
    refuse 4 "no capsule: it has something else than files, links and directories, or another mode"
for name in contents index metadata.json; do
    [ -f ".capsule_$name" ] && [ ! -L ".capsule_$name" ] || refuse 4 "no capsule: it has no .capsule_$name"
done
[ "$(head -n 1 .capsule_contents)" = "# capsule-contents v1" ] &&
    ! sed 1d .capsule_contents | grep -qvE '^([0-9a-f]{64} [ *].|# (symlink|dir)	.)' || refuse 4 "no capsule: its listing has another form"
grep -v '^#' .capsule_contents >../sums || :
[ ! -s ../sums ] || sha256sum -c ../sums </dev/null >/dev/null 2>&1 || refuse 4 "not what its listing says"
# Nothing that is not listed, and every link, mode and empty directory as it is listed.
find . ! -name . | while IFS= read -r path; do
    if [ -L "$path" ]; then printf '# symlink\t%s\t%s\n' "${path#./}" "$(readlink "$path")"
    elif [ -d "$path" ]; then [ -n "$(ls -A "$path")" ] || printf '# dir\t%s\n' "${path#./}"
    elif [ -x "$path" ]; then printf '*%s\n' "${path#./}"
    else printf ' %s\n' "${path#./}"; fi
done | grep -vE '^ \.capsule_(contents|index|metadata\.json)$' | sort >../found
sed -e '1d' -e '/^# /!s/^.\{65\}//' .capsule_contents | sort | cmp -s - ../found || refuse 4 "has other files, links or modes than its listing"
id=$(sha256sum .capsule_contents | cut -d ' ' -f 1)
said() { sed -n "s/^  \"$1\": \"\(.*\)\",\$/\1/p" .capsule_metadata.json; }
[ "$(said id)" = "$id" ] || refuse 4 "its metadata claim another ID than $id"
real=capsule-$(said name)-$(said short_id).tar.gz six='[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
case ${file##*/} in "$real") ;; capsule-?*-$six$six.tar.gz) refuse 4 "named after another capsule than $real" ;; esac
[ -z "$comment" ] || [ "$comment" = "capsule=$(said name)@$(said version) id=$id" ] || refuse 6 "the signature is that of another capsule: $comment"
cd "$here"
[ -z "$keep" ] || mv "$work/d" "$keep" || refuse 3 "cannot write $keep"
echo "$id"
