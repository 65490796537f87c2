#!/bin/sh
# unpack.sh ARCHITECTURE DIRECTORY PACKAGE: unpacks a Debian 13 package and the libraries that it
# depends on into DIRECTORY, as any user and on any Debian, without installing anything.
#
# apt does the work, as apt.sh has set it up.
set -eu

architecture=$1
directory=$2
package=$3
root=$(cd "$(dirname "$0")/../.." && pwd)
apt=$root/.cache/apt/$architecture

"$root/tools/setup/apt.sh" "$architecture"

rm -f "$apt/cache/archives/"*.deb
apt-get -qq -y -c "$apt/apt.conf" --download-only install "$package" >"$apt/log" 2>&1 ||
    {
        echo "setup: Debian 13's $package for $architecture cannot be fetched: apt's last word:" \
            "$(sed -n 's|//[^/@]*@|//|; $p' "$apt/log")" >&2
        exit 1
    }

rm -rf "$directory" "$directory.new"
mkdir -p "$directory.new"
for file in "$apt/cache/archives/"*.deb; do
    dpkg-deb -x "$file" "$directory.new"
done
mv "$directory.new" "$directory"
