"""The command gan-zoo, a file for each command."""
