#!/bin/bash
# What `host.py` starts inside the new namespaces: makes a root of its own over the machine's, and becomes systemd in it.
#   boot.sh ROOT UPPER BIND...     (ROOT: an empty directory; UPPER: what the host wrote, kept from boot to boot)
set -euo pipefail
root=$1 upper=$2
shift 2
first=no
[ -d "$upper/changed" ] || first=yes
mkdir -p "$upper/changed" "$upper/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$upper/changed,workdir=$upper/work" "$root"

# Nothing in here reaches the machine's kernel: settings and devices can be read at most.
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
for place in sys sysrq-trigger; do
    if [ -e "$root/proc/$place" ]; then
        mount --bind "$root/proc/$place" "$root/proc/$place"
        mount -o remount,bind,ro "$root/proc/$place"
    fi
done
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    IFS=: read -r name major minor <<<"$device"
    mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for stream in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${stream%:*}" "$root/dev/${stream#*:}"; done
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"
mkdir "$root/run/lock"
for place in "$@"; do
    mkdir -p "$root$place"
    mount --bind "$place" "$root$place"
    mount -o remount,bind,ro "$root$place"
done

# The cgroups of our own namespace, whose root is the group that `host.py` made in every hierarchy.
if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
    mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
    for hierarchy in /sys/fs/cgroup/*; do
        name=${hierarchy##*/}
        if [ -L "$hierarchy" ]; then
            cp -P "$hierarchy" "$root/sys/fs/cgroup/"
        elif mountpoint -q "$hierarchy"; then
            mkdir "$root/sys/fs/cgroup/$name"
            case $name in
                unified) mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/$name" ;;
                systemd) mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/$name" ;;
                *) mount -t cgroup -o "$name" cgroup "$root/sys/fs/cgroup/$name" ;;
            esac
        fi
    done
    mount -o remount,ro "$root/sys/fs/cgroup"
fi

if [ $first = yes ]; then # an empty host: nothing of what the machine itself may have of ours
    rm -rf "$root/opt/tori" "$root/etc/tori"
    rm -f "$root/etc/fstab" "$root/etc/machine-id" "$root"/etc/systemd/system/tori* "$root"/etc/sysusers.d/tori*
    : >"$root/etc/machine-id"
    units="$root/etc/systemd/system"
    mkdir -p "$units" "$root/etc/sysusers.d" "$root/var/log/journal"
    rm -rf "$units"/*.wants # what the machine starts is no business of a test
    for unit in systemd-udevd.service systemd-udev-trigger.service systemd-sysctl.service systemd-modules-load.service \
        systemd-networkd.service systemd-resolved.service systemd-timesyncd.service systemd-logind.service \
        systemd-remount-fs.service getty.target console-getty.service; do
        ln -sf /dev/null "$units/$unit"
    done
fi
ip link set lo up
mkdir "$root/.old"
cd "$root"
pivot_root . .old
exec >/run/boot.log 2>&1 </dev/null
umount -l /.old
rmdir /.old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin container=oci LANG=C.UTF-8 \
    setpriv --bounding-set -sys_time,-sys_module,-sys_rawio,-syslog,-mac_admin,-mac_override,-audit_control,-wake_alarm \
    /lib/systemd/systemd --system --unit=multi-user.target --show-status=no
