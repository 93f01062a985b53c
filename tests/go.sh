# Sourced where a script runs Go: nothing is kept but under $TARGET, no other Go is fetched, and what go.mod and go.sum
# pin is what is built.
CACHE=$TARGET/languages/cache
GOCACHE=$CACHE/go
GOPATH=$CACHE/gopath
GOTOOLCHAIN=local
GOFLAGS='-mod=readonly -modcacherw -buildvcs=false'
export CACHE GOCACHE GOPATH GOTOOLCHAIN GOFLAGS
