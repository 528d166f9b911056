#!/usr/bin/env bash
# Models of image synthesis at equal training time: experiments/synthesis/run.sh DATA_ROOT OUT [overrides for all]
# MINUTES (2) of training for each run, SEEDS (0) and ROWS (all) in turn; runs that are there already are kept.
# Then the tables and the images: python experiments/collect.py synthesis OUT
set -euo pipefail
root=$1
out=$2
shift 2
printf -v minutes %02d "${MINUTES:-2}"
scores="metric.images.parts.precision_recall._target_=gan_zoo.metrics.functional.feature_metrics.PrecisionRecall"
all=(trainer=cpu trainer.max_steps=1000000 "+trainer.max_time='00:00:$minutes:00'" logger=csv
  "+$scores" callbacks.evaluation.every_images=0 callbacks.checkpoints.every_images=1000000000)
classes=(data=fashion_mnist "data.root=$root" "metric=[images,condition_match]")

# Networks of a size that learns something in this time on one CPU core.
narrow="generator.width=16 discriminator.width=16"
narrow_styles="$narrow generator.max_width=64 discriminator.max_width=64 generator.style_dim=64
  generator.mapping_layers=2 model.latent_dim=64"

# Without classes, on the bundled drawings at 32 pixels; with classes, on Fashion-MNIST.
declare -A methods=(
  [dcgan]=""
  [dcgan_diffaugment]="augment=diffaugment"
  [dcgan_paper_rate]="model=dcgan"
  [dcgan_san]="loss=hinge regularizer=[san] discriminator.norm=sliced+batch"
  [dcgan_diffusion]="augment=diffusion"
  [unet_cutmix]="loss=hinge discriminator=unet discriminator.width=8 regularizer=[cutmix]"
  [sngan]="model=sngan loss=hinge $narrow"
  [sagan]="model=sagan loss=hinge $narrow"
  [ssgan]="model=ssgan loss=hinge $narrow"
  [infomax_gan]="model=infomax_gan loss=hinge $narrow"
  [logan]="model=logan loss=hinge"
  [r3gan]="model=r3gan loss=r3gan $narrow"
  [stylegan2]="model=stylegan2 $narrow_styles"
  [stylegan2_ada]="model=stylegan2 $narrow_styles augment=ada"
  [projected_gan]="model=projected_gan loss=hinge generator.width=8 discriminator.width=16 discriminator.features.image_size=64"
  [pggan]="model=pggan loss=wgan_gp loss.n_critic=1 optim=pggan $narrow generator.max_width=64 discriminator.max_width=64"
  [gat]="model=gat loss=rpgan generator.width=64 discriminator.width=64"
  [cgan_single]="model=cgan_single model.fusion=concat ${classes[*]}"
  [cgan]="model=cgan ${classes[*]}"
  [acgan]="model=acgan ${classes[*]}"
  [sngan_projection]="model=sngan_projection loss=hinge $narrow ${classes[*]}"
  [biggan]="model=biggan loss=hinge generator.width=4 discriminator.width=4 ${classes[*]}"
  [contragan]="model=contragan loss=hinge ${classes[*]}"
  [reacgan]="model=reacgan loss=hinge ${classes[*]}"
  [tacgan]="model=tacgan ${classes[*]}"
  [adcgan]="model=adcgan loss=hinge ${classes[*]}"
  [mhgan]="model=mhgan loss=multi_hinge ${classes[*]}"
)
order=(dcgan dcgan_paper_rate dcgan_diffaugment sngan ssgan pggan cgan_single acgan biggan reacgan sngan_projection stylegan2
  unet_cutmix logan dcgan_san projected_gan contragan mhgan tacgan adcgan cgan dcgan_diffusion infomax_gan
  stylegan2_ada sagan r3gan gat)
for seed in ${SEEDS:-0}; do
  for name in ${ROWS:-"${order[@]}"}; do
    run="$out/$name-s$seed"
    [[ -f $run/metrics.json ]] && continue
    rm -rf "$run"
    read -rd "" -a own <<< "${methods[$name]}" || true
    python train.py "${all[@]}" "${own[@]}" "seed=$seed" "hydra.run.dir=$run" "$@" || echo "$name: failed"
  done
done
