"""Networks of translation models."""
