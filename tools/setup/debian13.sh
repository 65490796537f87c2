#!/bin/sh
# debian13.sh NAME PACKAGE...: makes a root file system of Debian 13 with these packages in
# .cache/debian13/NAME, unless one with just these is there; to be run as root.
set -eu

name=$1
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
directory=$root/.cache/debian13/$name
apt=$root/.cache/apt/$(dpkg --print-architecture)

wanted=$(printf '%s\n' "$@" | sort -u)
[ "$(cat "$directory.packages" 2>/dev/null)" = "$wanted" ] && exit 0

"$root/tools/setup/packages.sh" mmdebstrap
"$root/tools/setup/apt.sh" "$(dpkg --print-architecture)"

echo "setup: making a root file system of Debian 13 in ${directory#"$root/"}"
rm -rf "$directory" "$directory.packages"
# The mirror's address in it may have a password.
mkdir -p "${directory%/*}"
chmod 700 "${directory%/*}"
# A root that a power cut spoils is made again; the lists are for what asks which version Debian has.
if ! mmdebstrap --quiet --variant=minbase --include="$(echo "$wanted" | paste -sd,)" \
    --aptopt='APT::Sandbox::User "root"' --dpkgopt=force-unsafe-io --skip=cleanup/apt/lists \
    trixie "$directory" "$apt/sources.list" >"$directory.log" 2>&1; then
    rm -rf "$directory"
    echo "setup: the root file system could not be made: $(tail -n 1 "$directory.log")." \
        "The whole log is $directory.log" >&2
    exit 1
fi
echo "$wanted" >"$directory.packages"
rm -rf "$apt"
