"""What everything stands on: no Lightning, no Hydra."""
