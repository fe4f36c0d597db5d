"""Is a derivative right? The checks by finite differences, the table of every op, strategies for hypothesis, the
certificate."""
