"""What recorded numbers say about a trial or a search: pure functions, so that a killed run can be read too."""
