#!/usr/bin/env bash
# Models of translation and restoration at equal training time: experiments/translation/run.sh OUT [overrides for all]
# MINUTES (2) of training for each run, SEEDS (0) in turn; runs that are there already are kept.
# Then the table and the pictures: python experiments/collect.py translation OUT
set -euo pipefail
out=$1
shift
printf -v minutes %02d "${MINUTES:-2}"
all=(trainer=cpu trainer.max_steps=1000000 optim/schedule=constant "+trainer.max_time='00:00:$minutes:00'" logger=csv
  callbacks.evaluation.every_images=0 callbacks.checkpoints.every_images=1000000000)

# The data of each model's default, at 32 pixels.
names=(pix2pix pix2pixhd spade bicyclegan colorization context_encoder srgan esrgan
  cyclegan cut fastcut discogan dualgan munit unit stargan stargan_v2)
for seed in ${SEEDS:-0}; do
  for name in "${names[@]}"; do
    run="$out/$name-s$seed"
    [[ -f $run/metrics.json ]] && continue
    rm -rf "$run"
    python train.py "model=$name" "${all[@]}" "seed=$seed" "hydra.run.dir=$run" "$@" || echo "$name: failed"
  done
done
