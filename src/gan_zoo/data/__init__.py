"""Data sets: functions that return a `Source`, and the stream of batches made from one."""
