#!/usr/bin/env bash
# GANs for few images at equal training time: experiments/few_shot/run.sh FOLDER OUT [overrides for all]
# FOLDER has many images, of which TEST_SHARE (0.912) are held out; MINUTES (10) of training for each run,
# SEEDS (0) in turn; runs that are there already are kept.
# Then the table and the images: python experiments/collect.py few_shot OUT
set -euo pipefail
folder=$1
out=$2
shift 2
printf -v minutes %02d "${MINUTES:-10}"
all=(data=image_folder "data.root=$folder" "data.test_share=${TEST_SHARE:-0.912}" data.image_size=64 data.batch_size=16
  trainer=cpu trainer.max_steps=1000000 "+trainer.max_time='00:00:$minutes:00'" logger=csv metric=images_all
  callbacks.evaluation.every_images=0 callbacks.checkpoints.every_images=1000000000)

# Networks of a size that learns something in this time on one CPU core.
narrow="generator.width=16 discriminator.width=16"
declare -A methods=(
  [dcgan]="model=dcgan"
  [dcgan_diffaugment]="model=dcgan augment=diffaugment"
  [stylegan2_ada]="model=stylegan2 augment=ada $narrow generator.max_width=64 discriminator.max_width=64
    generator.style_dim=64 generator.mapping_layers=2 model.latent_dim=64"
  [projected_gan]="model=projected_gan loss=hinge generator.width=8 generator.lite=true discriminator.width=16
    discriminator.features.image_size=64"
)
for seed in ${SEEDS:-0}; do
  for name in dcgan dcgan_diffaugment stylegan2_ada projected_gan; do
    run="$out/$name-s$seed"
    [[ -f $run/metrics.json ]] && continue
    rm -rf "$run"
    read -rd "" -a own <<< "${methods[$name]}" || true
    python train.py "${all[@]}" "${own[@]}" "seed=$seed" "hydra.run.dir=$run" "$@" || echo "$name: failed"
  done
done
