"""Games: who plays on what data, one small file each."""
