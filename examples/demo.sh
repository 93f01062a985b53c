#!/usr/bin/env bash
# The main job on this machine's loopback, seen from outside: a C program registers the greeter, the command line tool
# watches, lists and gets it, and what becomes of it is told. Exit 0 only if all of it was seen. Run by `make demo`.
set -eu
cd "$(dirname "$0")/.."
built=$1
tool=$built/mdns-registry
scratch=$(mktemp -d)
events=$scratch/events
running=()

finish() {
    status=$?
    trap - EXIT
    for pid in "${running[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$scratch"
    [ "$status" = 0 ] || echo 'demo: FAILED' >&2
    exit "$status"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() {
    echo "demo: $*; the watcher has seen:" >&2
    cat "$events" >&2
    exit 1
}

# The nth event, as soon as it is there: sees TEXT in it or fails. Prints it without its endpoints, which are long.
nth=0
expect() { # WHAT SECONDS TEXT...
    local what=$1 deadline=$((SECONDS + $2)) event=
    shift 2
    nth=$((nth + 1))
    until event=$(sed -n "${nth}p" "$events") && [ -n "$event" ]; do
        [ "$SECONDS" -le "$deadline" ] || fail "no $what came"
        read -r -t 0.05 <>"$scratch/never" || true
    done
    for text in "$@"; do
        [[ $event == *"$text"* ]] || fail "$what has no $text: $event"
    done
    sed -E 's/"key":"[^"]*",//; s/"endpoints":\[.*\],"nodes"/"endpoints":[…],"nodes"/; s/^/  watch: /' <<<"$event"
}

mkfifo "$scratch/never" "$scratch/lines"
: >"$events"

step 'A second process watches the greeter (mdns-registry watch --json)'
"$tool" watch greeter --json >"$events" &
running+=($!)
expect 'synced' 10 '"type":"synced"'

step 'A C program registers the greeter of examples/greeter.json, lease 3 s'
"$built/greeter" examples/greeter.json '{"ttl_ms":3000}' examples/greeter-moved.json <>"$scratch/lines" &
greeter=$!
running+=("$greeter")
expect 'create' 10 '"action":"create"' '"reason":"announced"' '"id":"greeter-1"' '"port":9090'

step 'The tool lists it and gets it, with metadata and endpoints'
"$tool" list | tee "$scratch/list" | sed 's/^/  list: /'
grep -qx greeter "$scratch/list" || fail 'list has no greeter'
"$tool" get greeter | sed 's/^/  /'
"$tool" get greeter --json >"$scratch/get"
for text in \
    '"metadata":{"docs":"https://example.org/greeter?v=1.2","team":"Front Desk"}' \
    '"name":"from","type":"Place","values":[{"name":"city","type":"string","values":[]}' \
    '"name":"Greeter.Wave","request":null,"response":null,"metadata":{"stream":"true"}' \
    '"id":"greeter-1","address":"127.0.0.1","port":9090,"metadata":{"emoji":"👋","zone":"Hall A"}'; do
    grep -qF "$text" "$scratch/get" || fail "get has no $text: $(cat "$scratch/get")"
done

step 'The greeter moves to another port: one update, no delete'
echo move >"$scratch/lines"
expect 'update' 10 '"action":"update"' '"reason":"changed"' '"port":9191' '"zone":"Hall B"'

step 'The tool registers version 2.0.0 and withdraws it on SIGTERM'
"$tool" register --file examples/greeter-v2.json >"$scratch/registered" &
second=$!
running+=("$second")
expect 'create of version 2.0.0' 10 '"action":"create"' '"version":"2.0.0"' '"id":"greeter-2"'
kill -TERM "$second"
wait "$second" || fail 'register did not end well'
expect 'delete of version 2.0.0' 10 '"action":"delete"' '"reason":"goodbye"' '"id":"greeter-2"'

step 'The C program is killed (kill -9): nobody says goodbye, and the lease of 3 s ends'
kill -9 "$greeter"
killed=$SECONDS
expect 'delete' 10 '"action":"delete"' '"reason":"expired"' '"id":"greeter-1"'
echo "  after $((SECONDS - killed)) s"
code=0
"$tool" get greeter >"$scratch/get" 2>"$scratch/said" || code=$?
[ "$code" = 1 ] || fail "get ended with $code after the greeter was gone"
sed 's/^/  get: /' "$scratch/said"

step 'Seen: create, update, delete; list, get, metadata, endpoints; goodbye and the end of a lease.'
