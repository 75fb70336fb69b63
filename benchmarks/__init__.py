"""What a chunk costs, beside other clients: `python -m benchmarks --help`."""
