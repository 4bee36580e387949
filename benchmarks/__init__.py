"""One script per claim in README. Each prints its table, writes JSON under benchmarks/results, and names the machine."""
