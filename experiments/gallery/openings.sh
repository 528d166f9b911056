#!/usr/bin/env bash
# The frame's openings, each by a short run: experiments/gallery/openings.sh EMOJI_FOLDER OUT
# EMOJI_FOLDER has the folders noto and twemoji; runs that are in OUT already are kept.
set -euo pipefail
emoji=$1
out=$2

run() {
  local name=$1
  shift
  [[ -f $out/$name/metrics.json ]] && return
  rm -rf "${out:?}/$name"
  python train.py trainer=cpu logger=csv callbacks.evaluation.every_images=0 "hydra.run.dir=$out/$name" "$@" || echo "$name: failed"
}

# Penalties on the generator, against none.
digits=(data=digits trainer.max_steps=1500)
run none "${digits[@]}"
run orthogonal_generator "${digits[@]}" "regularizer=[orthogonal_generator]"
run zcr "${digits[@]}" "regularizer=[zcr]"
run mode_seeking "${digits[@]}" model=cgan_single model.fusion=concat "regularizer=[mode_seeking]"
run mode_seeking_none "${digits[@]}" model=cgan_single model.fusion=concat
styles=(model=stylegan2 data=digits trainer.max_steps=1000 generator.width=16 generator.max_width=32 generator.style_dim=32
  generator.mapping_layers=2 model.latent_dim=32 discriminator.width=16 discriminator.max_width=32)
run path_length "${styles[@]}"
run path_length_none "${styles[@]}" "~regularizer.path_length"

# Micro-batches, schedules, several generator steps.
run accumulate "${digits[@]}" accumulate=4 discriminator.norm=none generator.norm=none
run accumulate_none "${digits[@]}" discriminator.norm=none generator.norm=none
run schedules "${digits[@]}" "regularizer=[r1]" \
  "+schedules.gamma={value: regularizer.r1.gamma, start: 5.0, end: 0.1, until: 48000, kind: cosine}" \
  "+schedules.rate={value: optim.generator.lr, start: 0.0004, end: 0.00004, until: 96000, kind: linear}"
run schedules_none "${digits[@]}" "regularizer=[r1]"
run n_generator "${digits[@]}" loss.n_generator=2

# What a term sees is changed; few labels; weights of another run, and frozen layers.
run apa "${digits[@]}" "regularizer=[apa]"
run label_flip "${digits[@]}" "regularizer=[label_flip]"
run labeled "${digits[@]}" model=sgan data.labeled=50
run labeled_all "${digits[@]}" model=sgan data.labeled=1500
run init data=digits trainer.max_steps=300 "init=$out/none" freeze_discriminator=1
run init_none data=digits trainer.max_steps=300

# Several outputs of a discriminator.
pairs=(trainer.max_steps=400 generator.width=16 discriminator.width=16)
run scales_1 model=pix2pix "${pairs[@]}"
run scales_2 model=pix2pix discriminator.scales=2 discriminator.layers=1 "${pairs[@]}"

# Conditions from the images themselves, sides of a rectangle, crops, and a tensor file.
run derive_downscale model=srgan generator.width=16 discriminator.width=16 trainer.max_steps=300
run derive_mask model=context_encoder generator.width=16 discriminator.width=16 trainer.max_steps=500
run derive_gray model=colorization generator.width=16 discriminator.width=16 trainer.max_steps=500
run rectangle data=image_folder "data.root=$emoji/noto" "data.image_size=[32,64]" data.load_size=72 data.flip=true \
  generator.width=24 discriminator.width=24 trainer.max_steps=1000
python - "$out" << 'PYTHON'
import sys
import numpy as np
import gan_zoo as gz
digits = gz.digits()
np.savez(f"{sys.argv[1]}/digits.npz", samples=digits.samples.numpy(), labels=digits.labels.numpy())
PYTHON
run tensor_file data=tensor_file "data.root=$out/digits.npz" model=cgan_single model.fusion=concat \
  "metric=[images,condition_match]" trainer.max_steps=1500
gan-zoo compare "$out"
