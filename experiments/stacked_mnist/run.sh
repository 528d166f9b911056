#!/usr/bin/env bash
# Modes of Stacked MNIST by method: experiments/stacked_mnist/run.sh DATA_ROOT [overrides for all]
# Every run that is there already is gone on with, so the script can be stopped and started again.
set -euo pipefail
root=$1
shift
small=(data=stacked_mnist "data.root=$root" generator.width=32 discriminator.width=32 trainer.max_steps=3000
  callbacks.evaluation.every_images=64_000 resume=auto)
rpgan="loss=rpgan regularizer=[r1,r2] regularizer.r1.gamma=1 regularizer.r2.gamma=1 discriminator.norm=none"
declare -A methods=(
  [dcgan]="loss=nonsaturating"
  [pacgan2]="loss=nonsaturating pack=2"
  [rpgan_r1_r2]="$rpgan"
  [rpgan_r1_r2_long]="$rpgan trainer.max_steps=9000"
  [wgan_gp]="loss=wgan_gp"
)
for name in dcgan pacgan2 rpgan_r1_r2 rpgan_r1_r2_long wgan_gp; do
  read -ra own <<< "${methods[$name]}"
  python train.py "${small[@]}" "${own[@]}" "hydra.run.dir=outputs/stacked_mnist/$name" "$@"
done
gan-zoo compare outputs/stacked_mnist
