#!/bin/sh
# Rehearse the lab on one of its machines: no network, every chapter at smoke, no stand-in data.
# Run in the copy of the project that holds the folder "offline". Ends with 0 if the lab can begin.
export PIP_NO_INDEX=1 PIP_FIND_LINKS="$PWD/offline/wheels" DEEPFAKE_KIT_OFFLINE=1
export DEEPFAKE_KIT_DATA="${DEEPFAKE_KIT_DATA:-$PWD/offline/data}"
export DEEPFAKE_KIT_WEIGHTS="${DEEPFAKE_KIT_WEIGHTS:-$PWD/offline/weights}" OMP_NUM_THREADS=1
if [ "${SKIP_ENVIRONMENT:-}" = "" ]; then make environment && . .venv/bin/activate || exit 1; fi
# A network of its own, with nothing in it but the loop to itself, over which a notebook speaks with its kernel.
alone() { unshare -rn sh -c 'ip link set lo up && exec "$@"' sh "$@"; }
PATH="$PATH:/usr/sbin:/sbin" cut=""
if unshare -rn ip link set lo up 2>/dev/null; then cut=alone; else echo "the network cannot be cut off here: pull the cable"; fi
bad=0
for chapter in CHAPTERS; do
    if said=$($cut deepfake-kit run "$chapter" --profile smoke 2>&1); then
        case "$said" in
            *"STAND-IN DATA"*) echo "STAND-IN: $chapter"; bad=1 ;;
            *) echo "runs: $chapter" ;;
        esac
    else
        echo "FAILS: $chapter"; echo "$said" | tail -3; bad=1
    fi
done
[ $bad = 0 ] && echo "The lab can begin." || echo "The lab cannot begin yet."
exit $bad
