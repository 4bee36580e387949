"""One script per claim in README: each prints its table, writes JSON under benchmarks/results, names the machine."""
