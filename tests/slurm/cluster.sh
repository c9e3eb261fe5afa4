#!/usr/bin/env bash
# A Slurm cluster of one node on loopback, for tests: no accounting database, nothing of /etc touched.
#
#   cluster.sh install   Debian's slurm-wlm and munge, if missing
#   cluster.sh start     munged, slurmctld and slurmd, until the node takes jobs
#   cluster.sh stop      ends them
#   cluster.sh conf      prints the configuration file, for SLURM_CONF
#
# Its files are in $CALVARIA_SLURM_DIR (default /var/tmp/calvaria-slurm).
set -euo pipefail

home="${CALVARIA_SLURM_DIR:-/var/tmp/calvaria-slurm}"
conf="$home/slurm.conf"
export SLURM_CONF="$conf"
export PATH="$PATH:/usr/sbin:/sbin"
programs=(munged slurmctld slurmd sbatch squeue scancel scontrol sinfo)

cannot() {
  echo "no Slurm cluster here: $1"
  exit 3
}

missing() {
  local program
  for program in "${programs[@]}"; do
    command -v "$program" >/dev/null || { echo "$program"; return; }
  done
}

install_packages() {
  [ -z "$(missing)" ] && return
  command -v apt-get >/dev/null || cannot "$(missing) is missing and this is not Debian (no apt-get)"
  apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >"$home/apt.log" 2>&1; }
  local packages=(install --yes --no-install-recommends slurm-wlm munge)
  apt_get "${packages[@]}" || { apt_get update && apt_get "${packages[@]}"; } ||
    cannot "apt-get cannot install slurm-wlm and munge: $(tail -n 1 "$home/apt.log")"
}

write_configuration() {
  mkdir -p "$home"/{controller,spool,log,munge}
  chmod 755 "$home" "$home"/{log,munge}
  if [ ! -s "$home/munge.key" ]; then
    (umask 077 && head -c 1024 /dev/urandom >"$home/munge.key")
  fi
  local node
  node="$(hostname -s)"
  cat >"$conf" <<CONF
ClusterName=calvaria
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$home/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
StateSaveLocation=$home/controller
SlurmdSpoolDir=$home/spool
SlurmctldPidFile=$home/slurmctld.pid
SlurmdPidFile=$home/slurmd.pid
SlurmctldLogFile=$home/log/slurmctld.log
SlurmdLogFile=$home/log/slurmd.log
NodeName=$node NodeAddr=127.0.0.1 CPUs=16 State=UNKNOWN
PartitionName=test Nodes=$node Default=YES MaxTime=INFINITE State=UP
CONF
}

alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

start() {
  [ "$(id -u)" = 0 ] || cannot "starting one needs root"
  mkdir -p "$home"
  install_packages
  write_configuration
  alive "$home/munged.pid" || munged --force --key-file="$home/munge.key" --socket="$home/munge/socket" \
    --pid-file="$home/munged.pid" --log-file="$home/log/munged.log" --seed-file="$home/munge.seed" 2>/dev/null ||
    cannot "munged does not start: $(tail -n 1 "$home/log/munged.log")"
  alive "$home/slurmctld.pid" || slurmctld || cannot "slurmctld does not start: $(tail -n 1 "$home/log/slurmctld.log")"
  alive "$home/slurmd.pid" || slurmd -N "$(hostname -s)" || cannot "slurmd does not start: $(tail -n 1 "$home/log/slurmd.log")"
  for _ in $(seq 60); do
    case "$(sinfo --noheader --format=%T 2>/dev/null)" in idle | mixed | allocated) return ;; esac
    sleep 0.5
  done
  cannot "the node does not come up: $(tail -n 1 "$home/log/slurmctld.log")"
}

stop() {
  local daemon pid
  if alive "$home/slurmctld.pid"; then
    scancel --user="$(id -un)" 2>/dev/null || true
  fi
  for daemon in slurmd slurmctld munged; do
    pid="$(cat "$home/$daemon.pid" 2>/dev/null)" || continue
    kill "$pid" 2>/dev/null || continue
    for _ in $(seq 40); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.25
    done
  done
}

case "${1:-}" in
  install) mkdir -p "$home" && install_packages ;;
  start) start ;;
  stop) stop ;;
  conf) echo "$conf" ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
