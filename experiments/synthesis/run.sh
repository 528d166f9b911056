#!/usr/bin/env bash
# Models of image synthesis at equal training time: experiments/synthesis/run.sh DATA_ROOT [overrides for all]
# MINUTES (3) of training for each run, SEEDS (0) in turn; runs that are there already are kept.
set -euo pipefail
root=$1
shift
printf -v minutes %02d "${MINUTES:-3}"
scores="metric.images.parts.precision_recall._target_=gan_zoo.metrics.functional.feature_metrics.PrecisionRecall"
all=(trainer=cpu trainer.max_steps=1000000 "+trainer.max_time='00:00:$minutes:00'" logger=csv
  "+$scores" callbacks.evaluation.every_images=0 callbacks.checkpoints.every_images=1000000000)
classes=(data=fashion_mnist "data.root=$root" "metric=[images,condition_match]")

# Without classes, on the bundled drawings at 32 pixels; with classes, on Fashion-MNIST.
declare -A methods=(
  [dcgan]=""
  [dcgan_diffaugment]="augment=diffaugment"
  [dcgan_san]="loss=hinge regularizer=[san] discriminator.norm=sliced+batch"
  [dcgan_diffusion]="augment=diffusion"
  [unet_cutmix]="loss=hinge discriminator=unet regularizer=[cutmix]"
  [sngan]="model=sngan loss=hinge"
  [sagan]="model=sagan loss=hinge"
  [ssgan]="model=ssgan loss=hinge"
  [infomax_gan]="model=infomax_gan loss=hinge"
  [logan]="model=logan loss=hinge"
  [r3gan]="model=r3gan loss=r3gan"
  [stylegan2]="model=stylegan2"
  [stylegan2_ada]="model=stylegan2 augment=ada"
  [projected_gan]="model=projected_gan loss=hinge"
  [pggan]="model=pggan loss=wgan_gp loss.n_critic=1 optim=pggan"
  [gat]="model=gat loss=rpgan"
  [cgan_single]="model=cgan_single ${classes[*]}"
  [cgan]="model=cgan ${classes[*]}"
  [acgan]="model=acgan ${classes[*]}"
  [sngan_projection]="model=sngan_projection loss=hinge ${classes[*]}"
  [biggan]="model=biggan loss=hinge ${classes[*]}"
  [contragan]="model=contragan loss=hinge ${classes[*]}"
  [reacgan]="model=reacgan loss=hinge ${classes[*]}"
  [tacgan]="model=tacgan ${classes[*]}"
  [adcgan]="model=adcgan loss=hinge ${classes[*]}"
  [mhgan]="model=mhgan loss=multi_hinge ${classes[*]}"
)
order=(dcgan stylegan2 projected_gan r3gan sngan gat cgan_single acgan biggan reacgan sngan_projection
  dcgan_diffaugment stylegan2_ada pggan unet_cutmix dcgan_san dcgan_diffusion ssgan infomax_gan logan sagan
  contragan tacgan adcgan mhgan cgan)
for seed in ${SEEDS:-0}; do
  for name in "${order[@]}"; do
    run="outputs/synthesis/$name-s$seed"
    [[ -f $run/metrics.json ]] && continue
    rm -rf "$run"
    read -ra own <<< "${methods[$name]}"
    python train.py "${all[@]}" "${own[@]}" "seed=$seed" "hydra.run.dir=$run" "$@" || echo "$name: failed"
  done
done
gan-zoo compare outputs/synthesis
