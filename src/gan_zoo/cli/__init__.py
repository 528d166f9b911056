"""The command gan-zoo, a file for each command.

`common` has the Typer application, `app` collects the commands.
"""
