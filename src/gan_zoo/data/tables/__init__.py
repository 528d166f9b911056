"""Tables: columns, their types, and rows as vectors of numbers."""
