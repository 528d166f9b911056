"""The command gan-zoo, a file for each command.

`common` has the Typer application, `app` collects the commands.

A new command is a file here and its name in `app`.
"""
