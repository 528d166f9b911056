#!/usr/bin/env bash
# Train and export the generator of `gan-zoo explore --demo`: bash experiments/demo/run.sh DATA_ROOT
set -euo pipefail
python train.py model=cgan data=mnist data.root="$1" generator.width=16 model.latent_dim=64 discriminator.width=24 \
    optim.generator.lr=4e-4 optim.discriminator.lr=4e-4 trainer=cpu trainer.max_steps=3000 metric=none run_dir=runs/demo
rm -rf src/gan_zoo/web/demo
gan-zoo export runs/demo src/gan_zoo/web/demo --checkpoint last
