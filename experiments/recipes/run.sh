#!/usr/bin/env bash
# Recipes on the data at hand, three seeds each: experiments/recipes/run.sh DATA_ROOT [overrides for all]
# DATA_ROOT has MNIST and FashionMNIST. Shorter than the papers; the rows of results.jsonl say so.
set -euo pipefail
root=$1
shift
all=("data.root=$root" trainer=cpu logger=csv callbacks.evaluation.every_images=0 "$@")

reproduce() {
  local name=$1
  shift
  gan-zoo reproduce "$name" --seeds 3 "$@" || echo "$name: failed"
}

# Mixtures have no files.
reproduce mixtures trainer=cpu logger=csv data=ring
reproduce mixtures trainer=cpu logger=csv

# Networks of half the width or less, one to ten passes over the data.
narrow=(generator.width=32 discriminator.width=32)
reproduce cgan_mnist "${all[@]}" trainer.max_steps=3000
reproduce aae_mnist "${all[@]}" trainer.max_steps=6000
reproduce acgan_mnist "${all[@]}" "${narrow[@]}" trainer.max_steps=1000
reproduce sgan_mnist "${all[@]}" "${narrow[@]}" trainer.max_steps=1000
reproduce infogan_mnist "${all[@]}" generator.width=32 generator.hidden=512 discriminator.width=32 discriminator.hidden=512 trainer.max_steps=1000
reproduce bigan_mnist "${all[@]}" "${narrow[@]}" trainer.max_steps=1000
reproduce cluster_gan_mnist "${all[@]}" generator.width=16 generator.hidden=256 discriminator.width=16 discriminator.hidden=256 trainer.max_steps=2000
# At the recipe's rate of 0.1 the runs on Fashion-MNIST diverge within 600 steps.
reproduce cgan_mnist "${all[@]}" data=fashion_mnist optim.generator.lr=0.02 optim.discriminator.lr=0.02 trainer.max_steps=3000
reproduce acgan_mnist "${all[@]}" data=fashion_mnist "${narrow[@]}" trainer.max_steps=1000
reproduce pacgan_stacked_mnist "${all[@]}" "${narrow[@]}" trainer.max_steps=2000

# RpGAN with R1 and R2 on the networks of the row above.
reproduce r3gan_stacked_mnist "${all[@]}" generator=dcgan discriminator=dcgan "${narrow[@]}" discriminator.norm=none \
  data.batch_size=64 trainer.max_steps=2000
