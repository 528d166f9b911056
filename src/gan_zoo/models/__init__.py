"""Who plays on what data: the group model=."""
