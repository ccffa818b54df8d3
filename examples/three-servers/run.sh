#!/bin/sh
# Three servers of a cluster on this machine, from nothing, until Ctrl-C: see README.md.
set -eu

ovs=${OVS:-ovs}
folder=${1:-./three-servers}
port=${PORT:-7411}

if [ ! -e "$folder/server-3/data/member" ]; then
    "$ovs" cluster init "$folder" --address "127.0.0.1:$port" --address "127.0.0.1:$((port + 1))" \
        --address "127.0.0.1:$((port + 2))" > /dev/null
    for server in 1 2 3; do
        # What an interrupted run did stays done.
        [ -e "$folder/server-$server/data/member" ] ||
            "$ovs" kv init --config "$folder/server-$server/ovs.toml" --with 1,2,3 > /dev/null
    done
fi

stop() {
    trap - INT TERM EXIT
    for server in 1 2 3; do
        if [ -f "$folder/server-$server.pid" ]; then
            kill "$(cat "$folder/server-$server.pid")" 2> /dev/null || true
            rm "$folder/server-$server.pid"
        fi
    done
    wait
}
trap stop INT TERM EXIT

for server in 1 2 3; do
    log="$folder/server-$server.log"
    "$ovs" serve --config "$folder/server-$server/ovs.toml" > "$log" 2>&1 &
    pid=$!
    echo "$pid" > "$folder/server-$server.pid"
    until grep -q '^ready ' "$log"; do
        kill -0 "$pid" 2> /dev/null || { tail -n 1 "$log" >&2; exit 1; }
        sleep 0.1
    done
    echo "server $server: process $pid, log $log"
done
echo "ready: three servers in $folder"
# A server that is killed leaves the others to go on.
wait
