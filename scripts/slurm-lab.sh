#!/usr/bin/env bash
# A Slurm of this machine's own, for tests: one controller and two nodes of two processors, all in one folder, without systemd,
# cgroups or anything under /etc. Debian's and Ubuntu's packages are installed where they are missing and that is possible.
#   scripts/slurm-lab.sh up FOLDER      then: export SLURM_CONF=FOLDER/slurm.conf
#   scripts/slurm-lab.sh down FOLDER
# Partitions: `main`; `urgent` takes nodes from the others, whose jobs go back into the queue; jobs of `spot` are cancelled instead.
# An array has 7 tasks at most, so that small tests need several.
set -euo pipefail
folder="$(readlink -m "${2:?usage: scripts/slurm-lab.sh up|down FOLDER}")"
export SLURM_CONF="$folder/slurm.conf"
port="${SLURM_LAB_PORT:-17000}"

down() {
    timeout 10 scancel --user "$(id -un)" 2>/dev/null || true
    # Slurm gives what it ends five seconds; without them its helpers stay behind.
    for _ in $(seq 40); do [ -z "$(timeout 5 squeue --noheader 2>/dev/null)" ] && break; sleep 0.25; done
    local daemons
    daemons="$(cat "$folder"/*.pid 2>/dev/null || true)"
    timeout 10 scontrol shutdown 2>/dev/null || true
    sleep 1
    # shellcheck disable=SC2086
    kill $daemons 2>/dev/null || true
    # They write to their folder until they are gone.
    for _ in $(seq 50); do
        # shellcheck disable=SC2086
        kill -0 $daemons 2>/dev/null || break
        sleep 0.2
    done
}

install_slurm() {
    if ! command -v slurmctld >/dev/null; then
        # The daemons of the packages are not to be started.
        local policy=/usr/sbin/policy-rc.d
        [ -e "$policy" ] && policy=
        [ -z "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; }
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null
        [ -z "$policy" ] || rm "$policy"
    fi
}

up() {
    install_slurm
    mkdir -p "$folder"/{state,log,node1,node2,munge}
    chmod 755 "$folder" "$folder/munge"
    [ -s "$folder/munge.key" ] || (umask 077; head -c 128 /dev/urandom >"$folder/munge.key")
    munged --key-file="$folder/munge.key" --socket="$folder/munge/socket" --pid-file="$folder/munged.pid" \
        --log-file="$folder/log/munged" --seed-file="$folder/munge.seed"
    # Newer versions can do without control groups; version 22 is shown an empty tree of them.
    if [ "$(slurmctld -V | grep -oE '[0-9]+' | head -n 1)" -ge 23 ]; then
        echo "CgroupPlugin=disabled" >"$folder/cgroup.conf"
    else
        mkdir -p "$folder/cgroup/systemd"
        printf 'CgroupPlugin=cgroup/v1\nCgroupMountpoint=%s\n' "$folder/cgroup" >"$folder/cgroup.conf"
    fi
    local host user
    host="$(hostname -s)" user="$(id -un)"
    cat >"$SLURM_CONF" <<CONF
ClusterName=lab
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/munge/socket,cred_expire=5
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/%n
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd.%n
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=5
MinJobAge=600
MaxArraySize=${SLURM_LAB_ARRAY:-7}
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=2 RealMemory=1000
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=2 RealMemory=1000
PartitionName=main Nodes=ALL Default=YES DefaultTime=5 MaxTime=60 PriorityTier=2
PartitionName=spot Nodes=ALL MaxTime=60 PriorityTier=1 PreemptMode=CANCEL
PartitionName=urgent Nodes=ALL MaxTime=60 PriorityTier=3 PreemptMode=OFF
CONF
    slurmctld
    slurmd -N node1
    slurmd -N node2
    for _ in $(seq 100); do
        [ "$(sinfo --noheader --Node --partition main --states idle --format %N 2>/dev/null | wc -l)" = 2 ] && return 0
        sleep 0.2
    done
    echo "error: the nodes did not come up; see $folder/log" >&2
    tail -n 20 "$folder"/log/* >&2
    return 1
}

case "$1" in
install) install_slurm ;;
up) up ;;
down) down ;;
*) echo "usage: scripts/slurm-lab.sh install|up|down FOLDER" >&2; exit 2 ;;
esac
