"""Trees that several formats, or objects in memory, share; they import their libraries at once, formats do not."""
