"""What a run folder holds, and the only code that knows its file names.

`folder` names, reads and writes files, `checkpoint_store` the checkpoints, `resume` picks one.
"""
