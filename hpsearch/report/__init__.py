"""A run, finished or killed, as a verdict in words and as a page: pure functions of what its journal holds."""
