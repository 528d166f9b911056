"""Networks whose weights come with a package."""
