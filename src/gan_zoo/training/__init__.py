"""Training: what happens in a step, and around it.

The step, from the outside in: `module` (the LightningModule, one batch), `steps` (a discriminator
step and the generator steps), `adversarial_step` (the terms of both), `updater` (backward and the
optimizer). The rest serves them.
"""
