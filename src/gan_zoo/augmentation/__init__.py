"""What changes the images that a discriminator sees: the group augment=."""
