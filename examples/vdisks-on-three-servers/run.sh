#!/bin/sh
# Three servers with a KV and two disks each, and vDisks on one of them, from nothing, until Ctrl-C: see README.md.
set -eu

ovs=${OVS:-ovs}
folder=${1:-./vdisks-on-three-servers}
port=${PORT:-7511}
nbd=${NBD:-10819}

if [ ! -e "$folder" ]; then
    "$ovs" cluster init "$folder" --address "127.0.0.1:$port" --address "127.0.0.1:$((port + 1))" \
        --address "127.0.0.1:$((port + 2))" \
        --roles 1=kv,asd,volume-driver,edge --roles 2=kv,asd --roles 3=kv,asd > /dev/null
    for server in 1 2 3; do
        config="$folder/server-$server/ovs.toml"
        # Four fragments of which any two suffice, all four safe before a write to the disks counts, and at most two of
        # them on one server: any one server may be lost, and what is written goes to the other two meanwhile.
        sed -e 's/^disks = .*/disks = 2/' -e 's/^# disk-size = .*/disk-size = "4GiB"/' \
            -e 's/^# policies = .*/policies = ["2,2,4,2"]/' -e 's/^# vdisks = .*/vdisks = ["disk1:1GiB"]/' \
            -e "s/^nbd = .*/nbd = \"127.0.0.1:$nbd\"/" "$config" > "$config.new"
        mv "$config.new" "$config"
        "$ovs" kv init --config "$config" --with 1,2,3 > /dev/null
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

# Waits until a server's log has a line that begins like this.
await() {
    until grep -q "^$2" "$folder/server-$1.log"; do
        kill -0 "$(cat "$folder/server-$1.pid")" 2> /dev/null || { tail -n 1 "$folder/server-$1.log" >&2; exit 1; }
        sleep 0.1
    done
}

for server in 1 2 3; do
    log="$folder/server-$server.log"
    : > "$log"
    "$ovs" serve --config "$folder/server-$server/ovs.toml" > "$log" 2>&1 &
    echo "$!" > "$folder/server-$server.pid"
    await "$server" "ready "
    echo "server $server: process $!, log $log"
done
await 1 "ready nbd://"
echo "ready: disk1 at nbd://127.0.0.1:$nbd/disk1, servers in $folder"
# A server that is killed leaves the others to go on.
wait
