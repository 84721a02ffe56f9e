#!/bin/sh
# merge-job.sh: the last job of a sweep: merges what its nodes left. usage: merge-job.sh DIR
exec "${1:?usage: merge-job.sh DIR}/normbench" cluster merge "$1"
