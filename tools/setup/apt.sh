#!/bin/sh
# apt.sh ARCHITECTURE: sets up an apt for Debian 13's packages in .cache/apt/ARCHITECTURE, as any
# user and on any Debian: apt.conf for apt-get, sources.list for what makes root file systems.
#
# The machine's own apt does the work, so its signature checks, mirror and proxy settings hold.
# Only its idea of what is installed and where it keeps its files is replaced.
set -eu

architecture=$1
apt=$(cd "$(dirname "$0")/../.." && pwd)/.cache/apt/$architecture

fail() {
    echo "setup: Debian 13's packages for $architecture cannot be fetched: $1" >&2
    exit 1
}

keyring=
for candidate in /usr/share/keyrings/debian-archive-keyring.*; do
    [ -e "$candidate" ] && keyring=$candidate
done
[ -n "$keyring" ] ||
    fail "Debian's signature keys are missing. Run as root: apt-get install debian-archive-keyring"

mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"

# Of what the package asks for, these serve its system service and its user account only.
for unneeded in adduser init-system-helpers sysvinit-utils; do
    printf 'Package: %s\nStatus: install ok installed\nVersion: 999\nArchitecture: %s\n%s\n\n' \
        "$unneeded" "$architecture" "Multi-Arch: foreign"
done >"$apt/status"

# Read after the machine's own configuration, which stays in force but for what is said here.
# A default release, pins and update hooks are meant for the machine's own packages. The sandbox
# user cannot reach a checkout in a private home directory, where apt would warn and go on as root.
cat >"$apt/apt.conf" <<CONF
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Cache::archives "archives";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Default-Release "";
APT::Architecture "$architecture";
#clear APT::Architectures;
APT::Architectures { "$architecture"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
Debug::NoLocking "true";
CONF

# apt itself reads the machine's sources, in whichever of their formats. Which of them is a mirror
# of Debian shows when its trixie carries Debian's signature; any other is passed over.
if ! [ -e "$apt/verified" ]; then
    mirrors=$(apt-get update --print-uris 2>/dev/null |
        sed -n "s|^'\(.*\)/dists/[a-z]*/InRelease' .*|\1|p" | sort -u)
    [ -n "$mirrors" ] || fail "this machine's apt sources name no Debian mirror. Add one to them."
    for mirror in $mirrors; do
        (umask 077 && echo "deb [signed-by=$keyring] $mirror trixie main" >"$apt/sources.list")
        if apt-get -qq -c "$apt/apt.conf" --error-on=any update >"$apt/log" 2>&1; then
            : >"$apt/verified"
            break
        fi
    done
    [ -e "$apt/verified" ] ||
        fail "none of this machine's apt sources gave Debian 13's index, signed by Debian. \
apt's last word: $(sed -n 's|//[^/@]*@|//|; $p' "$apt/log")"
fi
