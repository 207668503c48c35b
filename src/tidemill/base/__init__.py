"""What every stage may use: errors, clocks, hashes, processes, files. Standard library only."""
