#!/usr/bin/env bash
# Serves a folder from a node of a cluster, for as long as the job runs, to whoever has its token.
#
#   sbatch slurm.sh /path/to/data            what is served
#   COVERSLIP_SIF=coverslip.sif sbatch …     in a container: apptainer build coverslip.sif docker-daemon://coverslip:latest
#   COVERSLIP_LOGIN=login.example.org …      the host you log in to (default: the one sbatch was called on)
#   COVERSLIP_BIND=node …                    where ssh to the node is not allowed: listen on the node's network address
#   COVERSLIP_BASE_PORT=18810 …              HTTP gets 4 more, Arrow Flight 5 more (default: made of the job's number)
#
# The job's output says which ssh line to type and where the address with the token is.
#SBATCH --job-name=coverslip
#SBATCH --time=08:00:00
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
set -euo pipefail
umask 077

data=${1:?"Name the folder to serve: sbatch slurm.sh /path/to/data"}
job=${SLURM_JOB_ID:-$$}
user=$(id -un)
node=$(hostname)
login=${COVERSLIP_LOGIN:-${SLURM_SUBMIT_HOST:-login}}
base=${COVERSLIP_BASE_PORT:-$((20000 + job % 4000 * 10))}
http=$((base + 4))
flight=$((base + 5))

# Of this job alone: home folders are shared between nodes, and one server has one state folder.
scratch=$(mktemp -d "${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/coverslip-$job.XXXXXX")
url_file=$HOME/coverslip-$job.url
trap 'rm -rf "$scratch" "$url_file"' EXIT
export COVERSLIP_STATE_DIR=$scratch/state COVERSLIP_CACHE_DIR=$scratch/cache

# Every user of the node can reach its loopback, so a token is needed there too.
token=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')
export COVERSLIP_TOKEN=$token
printf 'http://localhost:%s/#token=%s\n' "$http" "$token" >"$url_file"

if [ "${COVERSLIP_BIND:-loopback}" = node ]; then
    host=$node
    to=$host
    line="ssh -N -L $http:$to:$http -L $flight:$to:$flight $user@$login"
else
    host=127.0.0.1
    line="ssh -N -J $user@$login -L $http:127.0.0.1:$http -L $flight:127.0.0.1:$flight $user@$node"
fi

cat <<TOLD
coverslip serves $data on $node.

1. On your own machine, type and leave running:

     $line

2. Open in its browser what this prints:

     ssh $user@$login cat $url_file

   Programs: grpc://localhost:$flight, with the token behind the # of that address.

3. When you are done:  scancel $job
TOLD

run=()
if [ -n "${COVERSLIP_SIF:-}" ]; then
    run=("$(command -v apptainer || command -v singularity)" exec --bind "$data:$data:ro" --bind "$scratch" "$COVERSLIP_SIF")
fi
# Standard output would tell the address with the token to everybody who may read the job's output.
"${run[@]}" coverslip server start --foreground --web-host "$host" --web-port "$http" --host "$host" --port "$flight" \
    "$data" >/dev/null &
server=$!
trap 'kill -TERM "$server" 2>/dev/null; wait "$server" || true; rm -rf "$scratch" "$url_file"' EXIT
trap 'exit 143' TERM INT
wait "$server"
