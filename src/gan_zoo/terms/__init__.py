"""Terms a game adds to its duels: reconstruction, classification, matching. Each is a module that returns a scalar."""
