#!/bin/busybox sh
# The first and only program of the guest. Two lines are filled in: the drivers, and what runs the server.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
LOAD_MODULES
# Nothing is written back by itself, neither data nor the journal of the file system: only a sync does it.
echo 0 > /proc/sys/vm/dirty_writeback_centisecs
echo 90 > /proc/sys/vm/dirty_background_ratio
echo 95 > /proc/sys/vm/dirty_ratio
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
mount -t ext4 -o commit=3600 /dev/vda /data || echo "no disk"
# The server's lines reach the console; once it is ready, what it made at its start is made to last.
say() {
    while read -r line; do
        case "$line" in ready*) sync ;; esac
        echo "$line"
    done
}
RUN_SERVER
echo "the server ended"
sync
poweroff -f
