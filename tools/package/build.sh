#!/bin/sh
# build.sh [VERSION]: builds dist/feltpost-gateway_VERSION_all.deb in a root file system of Debian
# 13, without network, and looks at it with lintian; beside it the software bill of materials and
# the checksums. VERSION is that of pyproject.toml unless it is given. Ends with 77 where this machine
# can't make the root file system, which says nothing of the package.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"

version=${1:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")}
name=feltpost-gateway_$version
debian=$root/.cache/debian13/build
log=$root/.cache/package.log

# shellcheck disable=SC2046 # a word for each package
"$root/tools/setup/debian13.sh" build build-essential lintian \
    $(sed -n '/^Build-Depends:/,/^[A-Z].*:/s/^ \([a-z0-9-]*\).*/\1/p' "$root/gateway/debian/control") ||
    exit 77
if ! unshare --mount --pid --fork --net true; then
    echo "package: this machine allows no name spaces, in which the build has to be" >&2
    exit 77
fi

# Another build on this machine has a directory of its own.
work=$(mktemp -d "$debian/tmp/feltpost.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 "$root/tools/package/source_tree.py" "$work/source" "$version"

inside() {
    unshare --mount --pid --fork --net --root="$debian" --wd="${work#"$debian"}/source" \
        --mount-proc env HOME=/root LC_ALL=C.UTF-8 "$@"
}

echo "package: building $name"
inside dpkg-buildpackage --build=binary --no-sign >"$log" 2>&1 || {
    tail -n 30 "$log" >&2
    echo "package: the build failed. Its whole log is $log" >&2
    exit 1
}
inside lintian --allow-root --display-info --fail-on error,warning,info "../${name}_all.deb"

mkdir -p "$root/dist"
cp "$work/${name}_all.deb" "$root/dist/"
inside apt-get --simulate -o Dir::State::status=/dev/null install "../${name}_all.deb" |
    python3 "$root/tools/package/sbom.py" "$work/${name}_all.deb" >"$root/dist/$name.cdx.json"
cd "$root/dist"
sha256sum "${name}_all.deb" "$name.cdx.json" >"$name.sha256"
chown "$(stat -c %u:%g "$root")" . "${name}_all.deb" "$name.cdx.json" "$name.sha256"
echo "package: dist/${name}_all.deb"
