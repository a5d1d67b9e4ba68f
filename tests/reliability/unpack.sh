#!/usr/bin/env bash
# Servers that this machine's Debian doesn't have, unpacked into a folder with every library that
# they need, libc included. Nothing is installed, and apt's own state is not touched.
#
#   tests/reliability/unpack.sh sid mysql-server-core pgbouncer
#
# FOLDER=..   where to; the default is one that `make faults` looks into
# MIRROR=..   of Debian; the default is the one that this machine uses
set -euo pipefail

(($# >= 2)) || { sed -n '2,8s/^# \?//p' "$0" >&2; exit 2; }
suite=$1
shift
folder=${FOLDER:-${XDG_CACHE_HOME:-$HOME/.cache}/sessionstore-faults}
mirror=${MIRROR:-$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | grep -v snapshot | head -n 1 || true)}
[[ -n $mirror ]] || { echo "no mirror of Debian in apt's sources: set MIRROR" >&2; exit 2; }
apt=$(mktemp -d)
trap 'rm -rf -- "$apt"' EXIT
mkdir -p "$apt"/{lists/partial,archives/partial,none} "$folder/root"

cat >"$apt/debian.sources" <<SOURCES
Types: deb
URIs: $mirror
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES

# What only the packages' scripts want, which are not run, counts as there.
for name in adduser debconf init-system-helpers perl perl-base postgresql-common sysvinit-utils; do
    printf 'Package: %s\nStatus: install ok installed\nVersion: 999\nMulti-Arch: allowed\n' "$name"
    printf 'Architecture: %s\nMaintainer: none\nDescription: none\n\n' "$(dpkg --print-architecture)"
done >"$apt/status"

cat >"$apt/apt.conf" <<CONF
Dir::State "$apt";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Etc::sourcelist "$apt/debian.sources";
Dir::Etc::sourceparts "$apt/none";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$apt/none";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Default-Release;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
CONF

apt-get -c "$apt/apt.conf" -qq update
apt-get -c "$apt/apt.conf" -qq --yes --download-only install "$@"
for package in "$apt"/archives/*.deb; do
    dpkg-deb -x "$package" "$folder/root"
done
cd "$folder/root"
rm -rf -- usr/share/{doc,man,locale}
echo "unpacked into $folder/root: $(find "$apt/archives" -name '*.deb' | wc -l) packages"
