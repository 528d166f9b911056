"""Regularizers: penalties on a term, projections of a discriminator, penalties on generators."""
