"""Links to one source, and other tokens, for who may do everything."""
