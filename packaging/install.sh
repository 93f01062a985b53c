#!/bin/sh
# install.sh BUILT PREFIX LIBDIR
#
# Puts what `make build` left in the directory BUILT under PREFIX, the libraries under LIBDIR; DESTDIR, if set, goes
# before both. The tree may be moved as a whole afterwards. `uninstall` for BUILT takes the same files away.
set -eu
[ $# = 3 ] || { echo 'usage: install.sh BUILT|uninstall PREFIX LIBDIR' >&2; exit 2; }
cd "$(dirname "$0")/.."
built=$1
DESTDIR=${DESTDIR-}
prefix=$DESTDIR$2
libdir=$DESTDIR$3

manifest() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" Cargo.toml | head -n 1; }
version=$(manifest version)
soname=libmdns_registry.so.$(sed -n 's/#define MDNSREG_ABI_VERSION //p' include/mdns_registry.h)
library=libmdns_registry.so.$version

if [ "$built" = uninstall ]; then
    rm -f "$prefix/bin/mdns-registry" "$prefix/include/mdns_registry.h" "$prefix/include/mdns_registry.hpp" \
        "$libdir/$library" "$libdir/$soname" "$libdir/libmdns_registry.so" "$libdir/libmdns_registry.a" \
        "$libdir/pkgconfig/mdns_registry.pc"
    rm -rf "$prefix/include/mdns_registry" "$libdir/cmake/mdns_registry"
    exit
fi

for file in libmdns_registry.so libmdns_registry.a native-static-libs mdns-registry; do
    [ -e "$built/$file" ] || { echo "$built/$file is missing: run make build first" >&2; exit 1; }
done
grep -q mdnsreg_open "$built/libmdns_registry.so" || {
    echo "$built/libmdns_registry.so has no mdnsreg_open: run make build again" >&2
    exit 1
}

# The compiler driver adds libgcc_s itself, or libgcc_eh where it links with -static, which -lgcc_s would forbid.
private=$(tr ' ' '\n' <"$built/native-static-libs" | grep -vx -e -lgcc_s -e '' | paste -sd ' ')

fill() {
    sed -e "s|@PREFIX@|$(realpath -m --relative-to="$3/pkgconfig" "$2")|" \
        -e "s|@DESCRIPTION@|$(manifest description)|" \
        -e "s|@VERSION@|$version|" \
        -e "s|@SONAME@|$soname|" \
        -e "s|@PRIVATE_FLAGS@|$private|" \
        -e "s|@PRIVATE_LIBRARIES@|$(printf %s "$private" | sed 's/-l//g; s/ /;/g')|" \
        -e "s|@POINTER_BYTES@|$(($(getconf LONG_BIT) / 8))|" \
        "packaging/$1.in"
}

mkdir -p "$prefix/bin" "$prefix/include/mdns_registry" "$libdir/pkgconfig" "$libdir/cmake/mdns_registry"
install -m 755 "$built/mdns-registry" "$prefix/bin/"
install -m 644 include/mdns_registry.h include/mdns_registry.hpp "$prefix/include/"
install -m 644 include/mdns_registry/*.hpp "$prefix/include/mdns_registry/"
install -m 755 "$built/libmdns_registry.so" "$libdir/$library"
ln -sf "$library" "$libdir/$soname"
ln -sf "$soname" "$libdir/libmdns_registry.so"
install -m 644 "$built/libmdns_registry.a" "$libdir/"
fill mdns_registry.pc "$2" "$3" >"$libdir/pkgconfig/mdns_registry.pc"
for file in mdns_registryConfig.cmake mdns_registryConfigVersion.cmake; do
    fill "$file" "$2" "$3" >"$libdir/cmake/mdns_registry/$file"
done
