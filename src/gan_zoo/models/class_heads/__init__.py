"""Models whose discriminator knows classes."""
