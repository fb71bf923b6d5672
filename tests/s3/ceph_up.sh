#!/bin/bash
# Starts a single-node Ceph (monitor, one OSD, RGW) on 127.0.0.1 and prints how long each step took.
# Needs Debian's radosgw ceph-mon ceph-osd ceph-common curl bc. Stop: for f in DIR/run/*.pid; do kill $(cat $f); done
set -e
D=${1:?usage: ceph_up.sh EMPTY_FOLDER [memstore|bluestore] [PORT]}; STORE=${2:-memstore}; RGWPORT=${3:-8000}; T0=$(date +%s.%N); el(){ echo "[$(echo "$(date +%s.%N)-$T0"|bc)s] $*"; }
[ -z "$(ls -A "$D" 2>/dev/null)" ] || { echo "$D is not empty" >&2; exit 2; }; mkdir -p $D/mon $D/osd0 $D/run $D/log $D/rgw
FSID=$(cat /proc/sys/kernel/random/uuid)
cat > $D/ceph.conf <<C
[global]
fsid = $FSID
mon_host = [v2:127.0.0.1:40300,v1:127.0.0.1:40301]
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_supported = none
ms_mon_client_mode = crc
mon_warn_on_insecure_global_id_reclaim_allowed = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
osd_crush_chooseleaf_type = 0
mon_max_pg_per_osd = 1000
run_dir = $D/run
admin_socket = $D/run/\$name.asok
pid_file = $D/run/\$name.pid
log_file = $D/log/\$name.log
mon_data = $D/mon
osd_data = $D/osd\$id
osd_objectstore = $STORE
memstore_device_bytes = 4294967296
bluestore_block_size = 4294967296
bluestore_fsck_on_mount = false
osd_memory_target = 1073741824
[client.rgw]
rgw_data = $D/rgw
rgw_frontends = beast endpoint=127.0.0.1:$RGWPORT tcp_nodelay=1
rgw_enable_usage_log = false
rgw_dns_name =
rgw_lc_debug_interval = 0
debug_rgw = 0
debug_ms = 0
C
export CEPH_CONF=$D/ceph.conf
monmaptool --create --clobber --addv a '[v2:127.0.0.1:40300,v1:127.0.0.1:40301]' --fsid $FSID $D/monmap >/dev/null 2>&1
ceph-mon --mkfs -i a --monmap $D/monmap >/dev/null
ceph-mon -i a; el mon started
timeout 60 ceph -s >/dev/null; el mon quorum
UUID=$(cat /proc/sys/kernel/random/uuid); ceph osd new $UUID 0 >/dev/null
ceph-osd -i 0 --mkfs --osd-uuid $UUID >/dev/null 2>&1 || { tail -5 $D/log/osd.0.log; exit 1; }
ceph osd crush add-bucket h1 host >/dev/null 2>&1; ceph osd crush move h1 root=default >/dev/null 2>&1; ceph osd crush add osd.0 1.0 host=h1 >/dev/null 2>&1
ceph-osd -i 0; el osd started
for i in $(seq 100); do ceph osd stat 2>/dev/null | grep -q '1 up' && break; sleep 0.2; done; el "osd up: $(ceph osd stat)"
radosgw -n client.rgw; el radosgw forked
for i in $(seq 300); do curl -s -o /dev/null http://127.0.0.1:$RGWPORT/ && break; sleep 0.2; done; el rgw answers
timeout 60 radosgw-admin user create --uid=test --display-name=test --access-key=test --secret=testtest1234 >/dev/null 2>&1; el user created
