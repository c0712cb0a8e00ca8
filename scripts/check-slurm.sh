#!/usr/bin/env bash
# Tries `speedlab submit` on a real Slurm of this machine's own (scripts/slurm-lab.sh): arrays, notice, preemption with requeue and
# with cancel, a killed run, a diverged run, two copies of one task, cancel, the report's job. Every run ends up recorded once, with
# the values that a local run gives, bit for bit. Where Slurm cannot be installed, this says so and passes.
#   scripts/check-slurm.sh              about five minutes
#   scripts/check-slurm.sh --short      two: without the time limit, a chain of submissions, and 100 rounds of random trouble
set -euo pipefail
cd "$(dirname "$0")/.."
scripts="$PWD/scripts"
short="${1:-}"
if ! command -v slurmctld >/dev/null && ! { command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] && "$scripts/slurm-lab.sh" install . >/dev/null; }; then
    echo "SKIPPED: there is no Slurm, and none can be installed: nothing was tried on a cluster"
    exit 0
fi
speedlab="${SPEEDLAB_BIN:-}"
if [ -z "$speedlab" ]; then
    cargo build --release --locked
    speedlab="$(realpath "${CARGO_TARGET_DIR:-target}")/release/speedlab"
fi
lab="$(mktemp -d)"
# The daemon that signs messages wants folders that others may enter.
chmod 755 "$lab"
export SLURM_CONF="$lab/slurm/slurm.conf"
trap '"$scripts/slurm-lab.sh" down "$lab/slurm"; rm -rf "$lab" || true' EXIT
if ! "$scripts/slurm-lab.sh" up "$lab/slurm"; then
    echo "SKIPPED: Slurm does not come up on this machine (see above): nothing was tried on a cluster"
    exit 0
fi
cd "$lab"

submit() { "$speedlab" submit "$@" >submit.log 2>&1 || { cat submit.log >&2; fail "submit $*"; }; }
fail() { echo "FAILED: $*" >&2; squeue >&2; tail -qn 2 results/*/submissions/*/logs/*/*.log | tail -n 20 >&2; exit 1; }
passed() { echo "ok $SECONDS s: $*"; }
# Until the queue is empty. Fails when for two minutes no job came, began or ended and no run wrote anything: how fast a machine is
# does not matter, whether it goes on does.
wait_empty() {
    local queue state last="" still=0
    while [ "$still" -lt 120 ]; do
        sleep 1
        queue="$(squeue --noheader --format "%i %t")" || queue="no answer"
        [ -n "$queue" ] || return 0
        state="$queue $(du -sb results 2>/dev/null || true)"
        if [ "$state" = "$last" ]; then still=$((still + 1)); else still=0 last="$state"; fi
    done
    fail "the queue does not empty"
}
wait_for() { for _ in $(seq 300); do eval "$1" && return 0; sleep 0.1; done; fail "$1 never came"; }
# Kills processes whose command line matches; with `one`, the first alone. Fails if there is none.
kill_matching() {
    local process words found=1
    for process in /proc/[0-9]*; do
        words="$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" || continue
        [[ "$words" =~ $1 ]] || continue
        kill -KILL "${process#/proc/}" 2>/dev/null && found=0
        [ "${2:-}" = one ] && break
    done
    return "$found"
}
# The evaluations of a journal, the last of each step.
measured() {
    grep '"event":"evaluated"' "$1" | sed 's/.*"step":\([0-9]*\).*"measures":\(.*\),"samples".*/\1 \2/' | sort -k1,1n -s |
        awk '{ last[$1] = $0 } END { for (step in last) print last[step] }' | sort -n
}
same() {
    local run
    for run in "$2"/runs/*; do
        [ -e "$1/runs/$(basename "$run")/DONE" ] || fail "$1 has no $(basename "$run")"
        diff <(measured "$1/runs/$(basename "$run")/events.jsonl") <(measured "$run/events.jsonl") >/dev/null ||
            fail "$(basename "$run") differs from a local run's"
    done
}
sweep() { # name, steps, seeds, further lines
    cat >"$1.yaml" <<YAML
base:
  data: { kind: digits }
  model: { kind: unet, channels: 8, channel_multipliers: [1], blocks_per_level: 1 }
  train: { steps: $2, batch_size: 16, ema_decay: 0.9, checkpoint_seconds: 0.2 }
  evaluate: { every: $(($2 / 4)), fid: { samples: 32, ode: { kind: dpm_solver_pp, steps: 3 } } }
arms: { baseline: {}, clts: { timestep_sampler: { kind: curriculum } } }
seeds: $3
compare: { baseline: baseline }
cluster: { task_minutes: 0, minutes: 2, cpus: 1 }
${4:-}
YAML
}
running() { [ "$(squeue --noheader --states RUNNING --format %i | wc -l)" -ge "$1" ]; }
jobs_of() { squeue --noheader --array --states "$2" --name "$(squeue --noheader --format %j | grep "^speedlab" | sort -u | paste -sd,)" --format "${1:-%F_%K}" | grep -v N/A; }
trained() { compgen -G "results/$1/attempts/*/*-*/checkpoint/state.safetensors" >/dev/null; }
ended() { find "results/$1/runs" -name DONE 2>/dev/null | wc -l; }
all_done() { "$speedlab" status "$1.yaml" >/dev/null; }

# 40 runs in six arrays; handed in twice; the report's job; few files.
sweep many 40 20
submit many.yaml
"$speedlab" submit many.yaml 2>/dev/null | grep -q "nothing to hand in" || fail "a second submit handed in something"
wait_empty
[ "$(ended many)" = 40 ] || fail "$(ended many) of 40 runs ended"
[ -s results/many/report/index.html ] || fail "there is no report"
[ "$(find results/many/attempts -type f 2>/dev/null | wc -l)" = 0 ] || fail "attempts were left behind"
"$speedlab" run many.yaml --results local --quiet >/dev/null 2>&1
same results/many local/many
passed "40 runs in six arrays, as a local run has them"

# A task is told that its time is nearly over, goes back into the queue alone, and goes on where it was.
sweep notice 3000 1
"$speedlab" run notice.yaml --results local --quiet >/dev/null 2>&1
submit notice.yaml
wait_for "trained notice"
task="$(jobs_of %F_%K RUNNING | head -n 1)"
scancel --signal USR1 --batch "$task"
wait_empty
all_done notice || fail "not all runs of notice are done"
grep -qh "back in the queue" results/notice/submissions/1/logs/*/*.log || fail "no task was put back"
[ "$(cat results/notice/runs/*/events.jsonl | grep -c '"event":"started"')" -ge 3 ] || fail "no run went on"
same results/notice local/notice
passed "notice before the time limit"

# Others go first: Slurm ends tasks and puts them back into the queue.
sweep requeue 3000 2
"$speedlab" run requeue.yaml --results local --quiet >/dev/null 2>&1
submit requeue.yaml
wait_for "trained requeue && running 4"
sbatch --parsable --partition urgent --nodes 2 --exclusive --output /dev/null --wrap "sleep 1" >/dev/null
wait_empty
all_done requeue || fail "not all runs of requeue are done"
same results/requeue local/requeue
passed "preemption that requeues"

# Others go first, and Slurm cancels: the last job hands in again what is missing.
cp requeue.yaml spot.yaml
submit spot.yaml --persist --set cluster.partition=spot
wait_for "trained spot && running 4"
sbatch --parsable --partition urgent --nodes 2 --exclusive --output /dev/null --wrap "sleep 1" >/dev/null
wait_empty
all_done spot || fail "not all runs of spot are done"
[ -e results/spot/submissions/2 ] || fail "nothing was handed in again"
same results/spot local/requeue
passed "preemption that cancels, with --persist"

# Cancelled by its user, and handed in again.
cp requeue.yaml cancelled.yaml
submit cancelled.yaml
wait_for "trained cancelled"
"$speedlab" cancel cancelled.yaml >/dev/null
wait_empty
[ "$(ended cancelled)" -lt 4 ] || fail "nothing was cancelled"
submit cancelled.yaml
wait_empty
all_done cancelled || fail "not all runs of cancelled are done"
same results/cancelled local/requeue
passed "cancel, and handed in again"

# A run's process is killed; an arm diverges.
sweep trouble 3000 1 "x-none: 0"
sed -i 's/clts: .*curriculum } } }/wild: { optimizer: { kind: adam, learning_rate: 1.0e+12 } } }/' trouble.yaml
submit trouble.yaml
wait_for "trained trouble"
kill_matching "exec .*/results trouble [0-9a-f]{12} " || fail "no run's process was found"
wait_empty
[ "$(ended trouble)" = 2 ] || fail "$(ended trouble) of 2 runs ended"
grep -q diverged results/trouble/runs/*/DONE || fail "no run diverged"
passed "a killed run and a diverged one"

# A node was given up for lost and goes on: two copies of every task.
cp requeue.yaml lost.yaml
submit lost.yaml --engine command
program="$(echo results/lost/submissions/programs/*/speedlab)"
for copy in 1 2; do
    for task in 0 1 2 3; do "$program" exec results lost --submission 1 --task "$task" >/dev/null 2>&1 & done
done
wait
[ "$(ended lost)" = 4 ] || fail "$(ended lost) of 4 runs ended"
all_done lost || fail "not all runs of lost are done"
same results/lost local/requeue
passed "two copies of each task at once"

# A thousand tasks are planned and handed in.
sweep thousand 40 500
sed -i 's/evaluate: .*/evaluate: { every: 10, fid: { samples: 32 } }/' thousand.yaml
before="$(date +%s%N)"
submit thousand.yaml -- --hold
seconds="$((($(date +%s%N) - before) / 1000000))"
"$speedlab" cancel thousand.yaml >/dev/null
wait_empty
passed "1,000 tasks in 143 arrays handed in within $seconds ms"

if [ "$short" != --short ]; then
    # The limit of a minute comes, with notice.
    sweep limit 40000 1
    submit limit.yaml --set cluster.minutes=1 --set cluster.notice_seconds=20
    for _ in $(seq 5); do wait_empty; done
    all_done limit || fail "not all runs of limit are done"
    passed "the time limit"

    # Seeds until decided, as a chain of submissions.
    "$speedlab" submit "$scripts/../sweeps/quickstart.yaml" --set name=chain --set seeds=3 --set train.steps=200 \
        --set evaluate.every=10 --until-decided --practical 1.005 --max-seeds 5 --set cluster.cpus=1 >/dev/null 2>&1
    wait_empty
    [ -e results/chain/submissions/3 ] || fail "the chain ended before its last look"
    grep -qh "After 5 seeds" results/chain/submissions/3/logs/*/*.log || fail "there was no last look"
    passed "seeds until decided, three submissions in a chain"

    sweep storm 2000 6
    "$speedlab" run storm.yaml --results local --quiet >/dev/null 2>&1
    submit storm.yaml --persist
    for round in $(seq 100); do
        sleep "0.$((RANDOM % 10))"
        case $((RANDOM % 6)) in
        0) task="$(jobs_of %F_%K RUNNING | shuf -n 1)"; [ -z "$task" ] || scancel --signal USR1 --batch "$task" ;;
        1) task="$(jobs_of %F_%K RUNNING | shuf -n 1)"; [ -z "$task" ] || scontrol requeue "$task" ;;
        2) task="$(jobs_of %F_%K RUNNING | shuf -n 1)"; [ -z "$task" ] || scancel "$task" ;;
        3) kill_matching "exec .*/results storm [0-9a-f]{12} " || true ;;
        4) kill_matching "exec .*/results storm --submission" one || true ;;
        5) sbatch --partition urgent --nodes 1 --exclusive --output /dev/null --wrap "sleep 0.2" >/dev/null ;;
        esac 2>/dev/null || true
        "$speedlab" submit storm.yaml --persist --again >/dev/null 2>&1 || true
    done
    for _ in $(seq 10); do wait_empty; "$speedlab" submit storm.yaml --persist --again >/dev/null 2>&1; done
    wait_empty
    all_done storm || fail "not all runs of storm are done"
    same results/storm local/storm
    passed "100 rounds of random trouble"
fi
